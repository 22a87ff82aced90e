"""Clocks as values that tests can replace.

The rule here: this is the only file that asks the operating system for the time.
"""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds; of `system_clock` since 1970-01-01 UTC."""


def system_clock() -> float:
    """The time of day of this machine."""
    return time.time()


# Times of an exchange come from this clock, because uvloop's own moves in whole milliseconds. Both
# count from the same zero, so deadlines may be computed from such a time.
monotonic: Clock = time.monotonic
"""Seconds on a clock that only goes forward, shared with the event loop."""
