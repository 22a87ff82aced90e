"""A connection that was opened while callers are being refused, until it is let in.

The rule here: it answers refusals and nothing else. The first bytes that are to be served make an
ordinary connection of it, for good; what a caller sends is never lost on the way.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from typing_extensions import override

from gateway.server.places import Places

Refuse = Callable[[bytes], bytes | None]
"""The answer for a request that is refused; None for one that is to be served."""


class Doorkeeper(asyncio.Protocol):
    """Stands in for a connection that may not be worth being made."""

    __slots__ = ("_admit", "_places", "_refuse", "_standing", "_timer", "_transport", "_wait_s")

    def __init__(
        self,
        refuse: Refuse,
        admit: Callable[[], asyncio.Protocol],
        standing: "set[Doorkeeper]",
        places: Places,
        *,
        wait_s: float,
    ) -> None:
        self._refuse = refuse
        self._admit = admit
        self._standing = standing
        self._places = places
        self._wait_s = wait_s
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def leave(self) -> None:
        """Close the connection: nobody is served here any more."""
        if self._transport is not None:
            self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._places.take():
            transport.close()
            return
        self._transport = cast("asyncio.Transport", transport)
        self._standing.add(self)
        self._timer = asyncio.get_running_loop().call_later(self._wait_s, self.leave)

    @override
    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        answer = self._refuse(data)
        if answer is None:
            self._hand_over(transport, data)
        elif transport.get_write_buffer_size():
            transport.abort()  # it asks, and does not read
        else:
            transport.write(answer)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def _hand_over(self, transport: asyncio.Transport, data: bytes) -> None:
        self._forget()
        protocol = self._admit()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    def _forget(self) -> None:
        if self._transport is not None:
            self._places.give_back()
            self._transport = None
        self._standing.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
