"""Cleaning up after callers who left, some at a time.

The rule here: when a network fails, thousands leave at the same moment. Each costs 50 µs, and
callers who are still there must not wait for all of them.
"""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 100  # takes 5 ms, then the loop can serve others


class Departures:
    """A queue of the work left by callers of one listener who left."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def add(self, end: Callable[[], None]) -> None:
        """Call `end` in the next loop iteration, or a few later."""
        self._waiting.append(end)
        if not self._is_scheduled:
            self._schedule()

    def _work(self) -> None:
        self._is_scheduled = False
        try:
            for _ in range(min(AT_ONCE, len(self._waiting))):
                self._waiting.popleft()()
        finally:
            if self._waiting and not self._is_scheduled:
                self._schedule()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._work)
