"""Calendar days and months: from midnight to midnight in a time zone.

The rule here: windows follow each other without a gap or an overlap, even when clocks change; a
day then has 23 or 25 hours.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "month"]


class Calendar:
    """The days or the months of one time zone."""

    def __init__(self, period: Period, zone: str) -> None:
        self._period: Period = period
        self._name = zone
        # UTC must work without a time zone database, which small images do not have.
        self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        self._window = (0.0, 0.0)  # the last one found, which stays valid for a while

    def window(self, now: float) -> tuple[float, float]:
        """The beginning and end, in POSIX time, of the window that contains `now`."""
        window = self._window
        if not window[0] <= now < window[1]:
            window = self._window = self._find(now)
        return window

    def say(self, at: float) -> str:
        """A moment written in local time, with the zone's name."""
        return f"{datetime.fromtimestamp(at, self._zone):%Y-%m-%d %H:%M} ({self._name})"

    def _find(self, now: float) -> tuple[float, float]:
        today = datetime.fromtimestamp(now, self._zone).replace(
            hour=0, minute=0, second=0, microsecond=0, fold=0
        )
        # Arithmetic on a local time changes its digits. If a clock change skips midnight, that
        # midnight stands for the moment of the change.
        if self._period == "day":
            begin, end = today, today + timedelta(days=1)
        else:
            begin = today.replace(day=1)
            end = (begin + timedelta(days=31)).replace(day=1)
        return begin.timestamp(), end.timestamp()
