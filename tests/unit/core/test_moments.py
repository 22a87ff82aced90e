"""Moments, as options name them."""

from datetime import UTC, datetime

import pytest

from gateway.core.moments import AGO_OR_DATE, parse_moment

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1h", datetime(2026, 11, 28, 11, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:30", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
        ("2026-11-01T10:30:05Z", datetime(2026, 11, 1, 10, 30, 5, tzinfo=UTC)),
        ("2026-11-01T10:30:05+02:00", datetime(2026, 11, 1, 8, 30, 5, tzinfo=UTC)),
    ],
)
def test_a_moment_is_so_long_ago_or_a_date(text: str, moment: datetime) -> None:
    """Without a zone it is UTC: logs and the ledger are, wherever the machine stands."""
    assert parse_moment(text, NOW) == moment.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "7",
        "7y",
        "2026-13-01",
        "2026-02-30",
        "2026-11-01 10:30",
        "2026-11-01T10:30+2",
        "0001-01-01T00:00+01:00",
        "9999-12-31T23:59-01:00",
        "-1h",
        "h",
    ],
)
def test_anything_else_says_what_is_understood(text: str) -> None:
    """A guess would show somebody the wrong hour."""
    with pytest.raises(ValueError) as caught:
        parse_moment(text, NOW)

    assert str(caught.value) == AGO_OR_DATE
