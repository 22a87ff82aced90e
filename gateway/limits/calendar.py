"""Days and months as people have them: from midnight to midnight where they live.

The rule here: windows follow each other without a gap or an overlap, also where clocks are
changed; a day has 23 hours then, or 25.
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
        # Known without a database of time zones, which small images do not have.
        self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        self._window = (0.0, 0.0)  # the last one that was asked for: it lasts a while

    def window(self, now: float) -> tuple[float, float]:
        """Beginning and end, in POSIX time, of the window that `now` is in."""
        window = self._window
        if not window[0] <= now < window[1]:
            window = self._window = self._find(now)
        return window

    def say(self, at: float) -> str:
        """A moment as people of that zone write it."""
        return f"{datetime.fromtimestamp(at, self._zone):%Y-%m-%d %H:%M} ({self._name})"

    def _find(self, now: float) -> tuple[float, float]:
        today = datetime.fromtimestamp(now, self._zone).replace(
            hour=0, minute=0, second=0, microsecond=0, fold=0
        )
        # Arithmetic on a local time is on its digits; a midnight that a change of clocks leaves
        # out stands for the moment of the change.
        if self._period == "day":
            begin, end = today, today + timedelta(days=1)
        else:
            begin = today.replace(day=1)
            end = (begin + timedelta(days=31)).replace(day=1)
        return begin.timestamp(), end.timestamp()
