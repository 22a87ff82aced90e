"""Accepting for other workers while they are down.

The rule here: it must not matter to a caller which worker's socket they reached. Callers in the
queue of a dead worker are accepted at once by the living ones, and not reset.
"""

from collections.abc import Collection, Mapping, Sequence
from socket import socket

from gateway.server.site import GatewaySite
from gateway.server.sockets import close_sockets, copy_of


class StandIns:
    """The other workers' sockets, some of which this worker currently accepts from."""

    def __init__(self, sockets: Mapping[int, Sequence[socket]]) -> None:
        self._sockets = dict(sockets)
        self._sites: dict[int, list[GatewaySite]] = {}

    @property
    def accepts_for(self) -> list[int]:
        """The indexes of the workers for which it stands in."""
        return sorted(self._sites)

    async def accept_for(self, away: Collection[int], beside: GatewaySite) -> None:
        """Accept for exactly these workers, in the same way as the site; one call at a time.

        OSError if there are not enough files; the next call tries again.
        """
        for index in self._sites.keys() - set(away):
            await self._leave(index)
        for index in away:
            if index not in self._sites:
                self._sites[index] = []
                try:
                    for listening in self._sockets.get(index, ()):
                        await self._accept(index, beside, listening)
                except OSError:  # no file is left; accepting from only some would not help
                    await self._leave(index)
                    raise

    async def close(self) -> None:
        """Stop accepting for others, and close the sockets."""
        for index in list(self._sites):
            await self._leave(index)
        while self._sockets:
            close_sockets(self._sockets.popitem()[1])

    async def _accept(self, index: int, beside: GatewaySite, listening: socket) -> None:
        # Pass a copy: a site closes its socket, and we may need it again.
        site = beside.next_to(copy_of(listening))
        try:
            await site.start()
        except OSError:
            await site.stop()
            raise
        if index in self._sites:
            self._sites[index].append(site)
        else:  # closed in the meantime
            await site.stop()

    async def _leave(self, index: int) -> None:
        for site in self._sites.pop(index, ()):
            await site.stop()
