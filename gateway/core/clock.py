"""Time as a value that tests can move.

The rule here: this is the only file that asks the operating system for the time of day;
durations are taken from the event loop's clock.
"""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since 1970-01-01 UTC."""


def system_clock() -> float:
    """The time of day of this machine."""
    return time.time()
