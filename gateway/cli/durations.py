"""Durations and times as people write and read them on a command line.

Rule: a duration has a unit; a bare number is nobody's guess.
"""

import re

from gateway.core.clock import render_time

__all__ = ["parse_duration", "render_time"]

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

_DURATION = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhdw])")


def parse_duration(text: str) -> int:
    """The seconds of `90s`, `15m`, `24h`, `30d` or `4w`; ValueError for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("needs to be a number and a unit, such as 90s, 15m, 24h, 30d or 4w")
    return int(found["count"]) * SECONDS[found["unit"]]
