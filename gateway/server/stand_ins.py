"""Accepting for other workers while they are away.

The rule here: whose socket on the port it is decides nothing for a caller. Who waits in the queue
of a worker that died is taken by those that live, at once, and not reset with it.
"""

from collections.abc import Collection, Mapping, Sequence
from socket import socket

from gateway.server.site import GatewaySite
from gateway.server.sockets import close_sockets, copy_of


class StandIns:
    """The other workers' sockets, and those of them that this worker accepts from."""

    def __init__(self, sockets: Mapping[int, Sequence[socket]]) -> None:
        self._sockets = dict(sockets)
        self._sites: dict[int, list[GatewaySite]] = {}

    @property
    def accepts_for(self) -> list[int]:
        """The workers for which it stands in, by their index."""
        return sorted(self._sites)

    async def accept_for(self, away: Collection[int], beside: GatewaySite) -> None:
        """Accept for these workers, and for no other, as the site does; one call at a time.

        OSError when that cannot be, for want of files; another call tries it again.
        """
        for index in self._sites.keys() - set(away):
            await self._leave(index)
        for index in away:
            if index not in self._sites:
                self._sites[index] = []
                try:
                    for listening in self._sockets.get(index, ()):
                        await self._accept(index, beside, listening)
                except OSError:  # no file is left; from some of them would be no good
                    await self._leave(index)
                    raise

    async def close(self) -> None:
        """Accept for nobody from now on, and let go of the sockets."""
        for index in list(self._sites):
            await self._leave(index)
        while self._sockets:
            close_sockets(self._sockets.popitem()[1])

    async def _accept(self, index: int, beside: GatewaySite, listening: socket) -> None:
        # A site closes what it was given, and there may be a next time.
        site = beside.next_to(copy_of(listening))
        try:
            await site.start()
        except OSError:
            await site.stop()
            raise
        if index in self._sites:
            self._sites[index].append(site)
        else:  # closed meanwhile
            await site.stop()

    async def _leave(self, index: int) -> None:
        for site in self._sites.pop(index, ()):
            await site.stop()
