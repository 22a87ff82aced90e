"""The connections to one provider, kept open for the next request.

The rule here: there is no queue. At `max_connections` the answer is 503 at once.
"""

import asyncio
from collections import deque

from gateway.core.clock import monotonic
from gateway.core.errors import ProviderBusyError
from gateway.core.retry_after import come_back
from gateway.upstream.connection import Connection
from gateway.upstream.dial import Target, open_connection
from gateway.upstream.resolver import Resolver

# If a provider announces its idle timeout, we close the connection this long before it.
KEEP_ALIVE_MARGIN_S = 1.0
MIN_SWEEP_S = 0.05


class Pool:
    """Open connections of one provider: idle ones newest first, busy ones counted."""

    def __init__(
        self, target: Target, resolver: Resolver, *, max_connections: int, keep_alive_s: float
    ) -> None:
        self._target = target
        self._resolver = resolver
        self._max_connections = max_connections
        self._keep_alive_s = keep_alive_s
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._dials: set[asyncio.Timeout] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def open_connections(self) -> int:
        """How many connections are open, including idle ones."""
        return len(self._open)

    @property
    def idle_connections(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    @property
    def dialing(self) -> int:
        """How many connections are being opened."""
        return len(self._dials)

    @property
    def max_connections(self) -> int:
        """How many connections may be in use or being opened at a time."""
        return self._max_connections

    @property
    def is_in_use(self) -> bool:
        """Whether any connection is in use or being opened."""
        return bool(self._dials) or len(self._open) > len(self._idle)

    async def take(self, *, fresh: bool = False, until: float | None = None) -> Connection:
        """A connection for one request: the newest idle one, or a new one.

        It returns to the pool by itself once its answer has ended and it can serve again.
        ProviderBusyError if the maximum is in use; any UpstreamError of opening a connection;
        TimeoutError if opening one lasts beyond `until`, or is given up.
        """
        while self._idle and not fresh:
            connection = self._idle.pop()
            is_fresh = connection.idle_until > monotonic()
            connection.idle_until = 0.0
            if connection.is_open and is_fresh:
                return connection
            self._close(connection)
        busy = len(self._open) - len(self._idle) + len(self._dials)
        if busy >= self._max_connections:
            raise ProviderBusyError(
                f"All {self._max_connections} connections to {self._target.label} are in use; "
                "try again shortly.",
                headers=come_back(),
            )
        return await self._dial(until)

    def close_idle(self) -> None:
        """Close all idle connections."""
        while self._idle:
            connection = self._idle.pop()
            connection.idle_until = 0.0
            self._close(connection)

    def give_up_dials(self) -> None:
        """Time out everybody who waits for a connection to be opened."""
        for deadline in self._dials:
            if not deadline.expired():
                deadline.reschedule(0.0)

    def close(self) -> None:
        """Close all connections, including busy ones."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.abort()

    async def _dial(self, until: float | None) -> Connection:
        target, resolver = self._target, self._resolver
        # The caller's deadline may be nearer than that of the dial.
        async with asyncio.timeout_at(until) as deadline:
            self._dials.add(deadline)
            try:
                connection = await open_connection(target, resolver, self._make_connection)
            finally:
                self._dials.remove(deadline)
        # Only now: a connection whose handshake fails never gets `connection_lost`.
        if connection.is_open:
            self._open.add(connection)
        return connection

    def _make_connection(self) -> Connection:
        return Connection(self._target.label, on_idle=self._keep, on_gone=self._forget)

    def _keep(self, connection: Connection) -> None:
        keep_s = self._keep_alive_s
        if connection.keep_alive_s is not None:
            keep_s = min(keep_s, connection.keep_alive_s - KEEP_ALIVE_MARGIN_S)
        if keep_s <= 0:
            connection.abort()
            return
        connection.idle_until = monotonic() + keep_s
        self._idle.append(connection)
        # One timer for all, because one each would be set and cancelled with every request.
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(keep_s, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long; run again while anything is idle."""
        now = monotonic()
        for connection in [one for one in self._idle if one.idle_until <= now]:
            self._drop_idle(connection)
            self._close(connection)
        self._sweeper = None
        if self._idle:
            next_at = min(connection.idle_until for connection in self._idle)
            wait_s = max(next_at - now, MIN_SWEEP_S)
            self._sweeper = asyncio.get_running_loop().call_later(wait_s, self._sweep)

    def _close(self, connection: Connection) -> None:
        # Free its place now; `connection_lost` comes only in the next loop iteration.
        self._open.discard(connection)
        connection.abort()

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._drop_idle(connection)

    def _drop_idle(self, connection: Connection) -> None:
        if connection.idle_until:
            connection.idle_until = 0.0
            self._idle.remove(connection)
