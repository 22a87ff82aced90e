"""Days and months where people live."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.calendar import Calendar, Period

HOUR_S = 3600.0
ZONES = (
    "UTC",
    "Europe/Paris",
    "America/Santiago",  # changes at midnight
    "Asia/Beirut",  # leaves midnight out
    "America/Havana",
    "Pacific/Apia",  # left a day out
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # half an hour
)


def at(text: str) -> float:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25)]
)
def test_a_day_is_as_long_as_the_clocks_say(day: str, hours: int) -> None:
    """A day of 24 hours from a fixed start drifts away from midnight."""
    begin, end = Calendar("day", "Europe/Paris").window(at(f"{day}T12:00"))

    assert end - begin == hours * HOUR_S


def test_a_month_ends_where_the_next_begins() -> None:
    """Months have no fixed length either."""
    calendar = Calendar("month", "Europe/Paris")

    assert calendar.window(at("2026-12-15T12:00")) == (
        at("2026-11-30T23:00"),
        at("2026-12-31T23:00"),
    )
    assert calendar.window(at("2028-02-29T23:30")) == (
        at("2028-02-29T23:00"),
        at("2028-03-31T22:00"),
    )
    assert calendar.say(at("2026-12-31T23:00")) == "2027-01-01 00:00 (Europe/Paris)"


@given(st.sampled_from(ZONES), st.sampled_from(["day", "month"]), st.floats(1.0e9, 2.5e9))
def test_windows_follow_each_other(zone: str, period: Period, now: float) -> None:
    """I17: no moment is in two windows or in none, and asking again says the same."""
    begin, end = Calendar(period, zone).window(now)

    assert begin <= now < end
    for inside in (begin, (begin + end) / 2, end - 0.5):
        assert Calendar(period, zone).window(inside) == (begin, end)
    assert Calendar(period, zone).window(end)[0] == end
