"""Time as a value that tests can move.

The rule here: this is the only file that asks the operating system for the time.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]
"""Seconds; of `system_clock` since 1970-01-01 UTC."""


def system_clock() -> float:
    """The time of day of this machine."""
    return time.time()


# Marks of an exchange are taken here: uvloop's own clock moves in whole milliseconds. Both count
# from the same zero, so deadlines may be reckoned from a mark.
monotonic: Clock = time.monotonic
"""Seconds on a clock that only goes forward, shared with the event loop."""


def render_time(at: int | None) -> str | None:
    """A Unix time as `2026-11-28T05:52:00Z`; None for None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
