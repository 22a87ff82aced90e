"""Durations and times as people write and read them.

Rule: a duration has a unit; a bare number is refused, because its unit would be a guess.
"""

import re
from datetime import UTC, datetime

MS_PER_S = 1000
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

LONGEST_S = 100 * 365 * SECONDS["d"]  # longer ones may end after the year 9999

_DURATION = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhdw])")
_SPAN = re.compile(r"(?P<count>[0-9]{1,6}(\.[0-9]{1,6})?)(?P<unit>ms|s|m|h)")
_SPAN_UNITS_S = {"ms": 0.001} | SECONDS


def parse_duration(text: str) -> int:
    """The seconds of `90s`, `15m`, `24h`, `30d` or `4w`; ValueError for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("needs to be a number and a unit, such as 90s, 15m, 24h, 30d or 4w")
    seconds = int(found["count"]) * SECONDS[found["unit"]]
    if seconds > LONGEST_S:
        raise ValueError("needs to be at most 100 years, which is 36500d")
    return seconds


def parse_span(text: str) -> float:
    """The seconds of a wait: `500ms`, `1.5s`, `2m` or `1h`; ValueError for anything else."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("needs to be a number and a unit, such as 500ms, 2s, 1.5s or 1m")
    return float(found["count"]) * _SPAN_UNITS_S[found["unit"]]


def render_time(at: float | None) -> str | None:
    """A Unix time as `2026-11-28T05:52:00Z`; None for None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_timestamp(at: float) -> str:
    """A Unix time as in log lines: `2026-11-28T05:52:00.125Z`.

    The format is fixed, so that timestamps can be compared as text.
    """
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
