"""Noticing resets that the event loop is not told of.

The rule here: it only finds what the kernel knows already; whatever the loop hears, the loop
handles. When a provider's last bytes and its reset come in one wake-up, libuv stops polling
(libuv issue 3797) and aiofastnet, which returns after a short read, never sees the reset: an
answer would hang until its idle deadline (measured, on uvloop).
"""

import asyncio
import select
from collections.abc import Collection
from typing import Protocol

LOOK_EVERY_S = 1.0  # 25 µs for 400 sockets


class Watched(Protocol):
    """A connection whose socket can be looked at."""

    @property
    def watched_socket(self) -> int | None:
        """Its file descriptor; None while there is nothing to look at."""

    def end_as_reset(self) -> None:
        """The provider reset it."""


class ResetWatch:
    """Looks at the sockets of one pool, as long as there are any."""

    def __init__(self, connections: Collection[Watched], *, every_s: float = LOOK_EVERY_S) -> None:
        self._connections = connections
        self._every_s = every_s
        self._suspects: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_looking(self) -> bool:
        """True while a next look is planned."""
        return self._timer is not None

    def start(self) -> None:
        """Look from now on, until there is no connection left."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        found = self._find_reset()
        # Seen twice: the first time its last bytes may still be on their way to be read.
        for connection in found & self._suspects:
            connection.end_as_reset()
        self._suspects = found
        if self._connections:
            self.start()

    def _find_reset(self) -> set[Watched]:
        by_socket: dict[int, Watched] = {}
        poll = select.poll()
        for connection in self._connections:
            descriptor = connection.watched_socket
            if descriptor is not None:
                by_socket[descriptor] = connection
                poll.register(descriptor, 0)  # errors and hang-ups are always told
        return {by_socket[descriptor] for descriptor, _ in poll.poll(0)}
