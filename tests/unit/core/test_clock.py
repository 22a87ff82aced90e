"""The clock: time of day as a value."""

import time

from gateway.core.clock import render_time, system_clock


def test_the_system_clock_tells_the_time_of_day() -> None:
    """Dates in `Retry-After` are compared with it."""
    before = time.time()

    assert before <= system_clock() <= time.time()


def test_a_time_is_written_in_utc() -> None:
    """One form for the command line and for answers."""
    assert render_time(0) == "1970-01-01T00:00:00Z"
    assert render_time(None) is None
