"""The clock: time of day as a value."""

import time

from gateway.core.clock import system_clock


def test_the_system_clock_tells_the_time_of_day() -> None:
    """Dates in `Retry-After` are compared with it."""
    before = time.time()

    assert before <= system_clock() <= time.time()
