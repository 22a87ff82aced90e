"""Time as a test may hold the gateway to it: without what its process waited for a processor.

The rule here: a bound is the product's; how long a busy machine runs somebody else is not its.
"""

import asyncio
import time
from pathlib import Path

from typing_extensions import override

SCHEDULE = Path("/proc/thread-self/schedstat")  # of this thread: it ran, it waited, in nanoseconds


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._began_s = time.monotonic() - _waited_s()

    @property
    def seconds(self) -> float:
        """How long it has run, less the time in which this thread could have run and did not."""
        return time.monotonic() - _waited_s() - self._began_s


class OwnTimeLoop(asyncio.SelectorEventLoop):
    """A loop for both sides of a line, neither of which can act while somebody else runs."""

    def __init__(self) -> None:
        self._watch = Stopwatch()
        super().__init__()

    @override
    def time(self) -> float:
        return self._watch.seconds


def _waited_s() -> float:
    try:
        return int(SCHEDULE.read_text().split()[1]) / 1e9
    except OSError:  # no other system tells
        return 0.0
