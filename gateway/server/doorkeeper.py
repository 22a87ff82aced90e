"""A connection opened while callers are being refused, until it is let in.

The rule here: it only sends refusals. The first bytes that may be served turn it into an ordinary
connection for good, and nothing that the caller sent is lost.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from typing_extensions import override

from gateway.core.clock import monotonic
from gateway.server.connection import GRACE_S, HELD_UP_S, Refuse
from gateway.server.connection_limit import ConnectionLimit


class Doorkeeper(asyncio.Protocol):
    """A cheap stand-in for a connection that may only get a refusal."""

    __slots__ = (
        "_admit",
        "_connection_limit",
        "_due_at",
        "_keep_alive_s",
        "_refuse",
        "_standing",
        "_timer",
        "_transport",
        "_used_at",
        "_wait_s",
    )

    def __init__(
        self,
        refuse: Refuse,
        admit: Callable[[], asyncio.Protocol],
        standing: "set[Doorkeeper]",
        connection_limit: ConnectionLimit,
        *,
        wait_s: float,
        keep_alive_s: float,
    ) -> None:
        self._refuse = refuse
        self._admit = admit
        self._standing = standing
        self._connection_limit = connection_limit
        self._wait_s = wait_s  # how long to wait for the first request
        self._keep_alive_s = keep_alive_s  # how long to wait for another one
        self._due_at = 0.0
        self._used_at: float | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def leave(self) -> None:
        """Close the connection, as nobody is served here any more."""
        if self._transport is not None:
            self._transport.close()

    def leave_if_idle(self) -> None:
        """Close the connection if a request was answered here and no other has arrived."""
        if self._used_at is not None:
            self.leave()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._connection_limit.take():
            transport.close()
            return
        self._transport = cast("asyncio.Transport", transport)
        self._standing.add(self)
        self._arm(self._wait_s)

    @override
    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        answer = self._refuse(data)
        if answer is None:
            self._hand_over(transport, data)
        elif transport.get_write_buffer_size():
            transport.abort()  # the caller sends requests but does not read answers
        else:
            self._used_at = monotonic()
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

    def _arm(self, wait_s: float) -> None:
        self._due_at = monotonic() + wait_s
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _look(self) -> None:
        now = monotonic()
        kept_for_s = 0.0 if self._used_at is None else self._used_at + self._keep_alive_s - now
        if kept_for_s > 0:
            self._arm(kept_for_s)
        elif now - self._due_at > HELD_UP_S:
            # We were stopped or starved, and the loop reads what the caller sent after the timers.
            self._arm(GRACE_S)
        else:
            self.leave()

    def _forget(self) -> None:
        if self._transport is not None:
            self._connection_limit.give_back()
            self._transport = None
        self._standing.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
