"""Time as a test may hold the gateway to it: without what its process waited for a processor.

The rule here: a bound is the product's; how long a busy machine runs somebody else is not its.
"""

import time
from pathlib import Path

SCHEDULE = Path("/proc/thread-self/schedstat")  # of this thread: it ran, it waited, in nanoseconds


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._began_s = time.monotonic() - _waited_s()

    @property
    def seconds(self) -> float:
        """How long it has run, less the time in which this thread could have run and did not."""
        return time.monotonic() - _waited_s() - self._began_s


def _waited_s() -> float:
    try:
        return int(SCHEDULE.read_text().split()[1]) / 1e9
    except OSError:  # no other system tells
        return 0.0
