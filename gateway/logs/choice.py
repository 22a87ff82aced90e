"""Which lines are meant: conditions, how slow, from when to when.

The rule here: all of it has to hold.
"""

from collections.abc import Sequence

from gateway.core.durations import render_timestamp
from gateway.logs.conditions import Condition
from gateway.logs.lines import Fields


class Choice:
    """Everything that somebody asked for."""

    def __init__(
        self,
        conditions: Sequence[Condition] = (),
        *,
        slow_s: float | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> None:
        """`since` (included) and `until` (not) are Unix times."""
        self._conditions = tuple(conditions)
        self._slow_s = slow_s
        self._since = "" if since is None else render_timestamp(since)
        self._until = None if until is None else render_timestamp(until)
        self.looks_inside = bool(self._conditions) or slow_s is not None

    def takes(self, fields: Fields) -> bool:
        """True for a line that is meant."""
        if not self.takes_time(fields["timestamp"]):
            return False
        if self._slow_s is not None and not is_slow(fields, self._slow_s):
            return False
        return all(condition.holds(fields) for condition in self._conditions)

    def takes_time(self, timestamp: str) -> bool:
        """True for a line of that time, whatever else it says."""
        # Timestamps are of one length and one zone: their order is that of their text.
        return self._since <= timestamp and (self._until is None or timestamp < self._until)


def is_slow(fields: Fields, slow_s: float) -> bool:
    """True where the caller waited as long for the first content, or in vain.

    A long answer takes long, which is nobody's fault; what people wait for is its beginning.
    """
    waited = fields.get("first_content_s")
    if waited is None:
        waited = fields.get("duration_s")
    return isinstance(waited, int | float) and waited >= slow_s
