"""How many connections callers may have: half of the files that the process may open.

The rule here: a caller who cannot be served is turned away at once. If callers used up all files,
there would be none left for connections to providers, and nobody would be served.
"""

import asyncio
import resource
import sys
from collections.abc import Callable

import structlog

# Other files that the process has open: listeners, its log, the event loop, name look-ups.
OWN_FILES = 48
REPORT_S = 1.0  # a line for each caller turned away would flood the log

_log = structlog.get_logger()


class ConnectionLimit:
    """The places for connections of one listener; each connection gives its place back."""

    def __init__(self, when_turned_away: Callable[[], None] = lambda: None) -> None:
        self._when_turned_away = when_turned_away
        # Called when none is left, at most once a second, to close what nobody uses.
        self.when_full: Callable[[], None] = _do_nothing
        self._taken = 0
        self._turned_away = 0

    def take(self) -> bool:
        """Take a place; False if none is left."""
        if self._taken < count_places(_file_limit()):
            self._taken += 1
            return True
        self._turned_away += 1
        self._when_turned_away()
        if self._turned_away == 1:
            asyncio.get_running_loop().call_later(REPORT_S, self._report)
            self.when_full()
        return False

    def give_back(self) -> None:
        """Give a place back."""
        self._taken -= 1

    def _report(self) -> None:
        count, self._turned_away = self._turned_away, 0
        _log.warning("connections.turned_away", count=count, places=count_places(_file_limit()))


def _do_nothing() -> None:
    pass


def count_places(file_limit: int) -> int:
    """How many places there are for this limit of open files."""
    if file_limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(file_limit - OWN_FILES, 2) // 2


def _file_limit() -> int:
    # Read each time (0.3 µs), because `prlimit` can change it from outside.
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
