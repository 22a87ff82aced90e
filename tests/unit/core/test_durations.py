"""Durations and times as people write them."""

import pytest

from gateway.core.durations import parse_duration, parse_span, render_time, render_timestamp


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    """As people say it."""
    assert parse_duration(text) == seconds
    assert parse_duration("1w") == 7 * parse_duration("1d")


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "1.5h", "1d12h", "1 d", "9999999s", "\u0661d"]
)
def test_anything_else_is_refused(text: str) -> None:
    """A bare number is seconds to one and days to another."""
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_duration(text)


def test_a_duration_ends_within_a_lifetime() -> None:
    """A later end would be written in a year that no calendar has, and fail when it is shown."""
    assert parse_duration("36500d") == 3_153_600_000
    with pytest.raises(ValueError, match="at most 100 years"):
        parse_duration("999999w")


def test_a_time_is_written_in_utc() -> None:
    """The same on every machine."""
    assert render_time(1_800_000_000) == "2027-01-15T08:00:00Z"
    assert render_time(1_800_000_000.9) == "2027-01-15T08:00:00Z"
    assert render_time(None) is None


def test_a_line_of_the_log_has_thousandths() -> None:
    """Texts are compared: a digit less would put a line on the wrong side."""
    assert render_timestamp(1_800_000_000) == "2027-01-15T08:00:00.000Z"
    assert render_timestamp(1_800_000_000.0015) == "2027-01-15T08:00:00.001Z"


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2.0), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0)]
)
def test_a_wait_may_be_a_part_of_a_second(text: str, seconds: float) -> None:
    """People wait for less."""
    assert parse_span(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "2", "s", "-2s", "2 s", "1d", "1.s", "nan"])
def test_a_wait_needs_its_unit(text: str) -> None:
    """A bare number is seconds to one and milliseconds to another."""
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_span(text)
