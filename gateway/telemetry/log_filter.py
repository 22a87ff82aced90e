"""Which lines are written, and at which level.

The rule here: what `sample` leaves out is decided by the id of the request, so that the lines of
one request stay together, on every worker and gateway; what failed is kept, and what is left out
is counted.
"""

import zlib
from collections.abc import Mapping
from typing import Any

from gateway.config.logging import LoggingSpec
from gateway.core.events import EVENTS

REQUEST_ID = "request_id"
FINISHED = "finished"
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_HASHES = 1 << 32


class LogFilter:
    """Applies `logging.level` and `logging.events`; a new one replaces it when they change."""

    def __init__(self, settings: LoggingSpec) -> None:
        self._threshold = LEVELS[settings.level]
        self._events = settings.events
        self._owed: dict[str, float] = {}  # of events without a request: what is due by now

    @property
    def least(self) -> int:
        """No line below this level can be written, whatever its event."""
        raised = [
            LEVELS[level]
            for name, event in self._events.items()
            if event.level is not None and LEVELS[event.level] >= self._threshold
            for level in EVENTS[name].levels
        ]
        return min([self._threshold, *raised])

    def level_of(self, event: str, level: str) -> str | None:
        """The level of a line; None when that is too low."""
        chosen = self._events.get(event)
        if chosen is not None and chosen.level is not None:
            level = chosen.level
        return level if LEVELS.get(level, self._threshold) >= self._threshold else None

    def is_sampled(self, event: str) -> bool:
        """Whether a part of this event's lines is left out."""
        chosen = self._events.get(event)
        return chosen is not None and chosen.sample < 1

    def keeps(self, event: str, level: str, fields: Mapping[str, Any]) -> bool:
        """Whether a line of an event that is sampled is written; `level` is the event's own."""
        request_id = fields.get(REQUEST_ID)
        if not isinstance(request_id, str):
            return self._keeps_next(event)
        outcome = fields.get("outcome")
        failed = outcome != FINISHED if outcome else LEVELS.get(level, 0) >= LEVELS["warning"]
        return self.keeps_exchange(event, request_id, has_failed=failed)

    def keeps_exchange(self, event: str, request_id: str, *, has_failed: bool) -> bool:
        """The same for a line about a request."""
        chosen = self._events[event]
        if has_failed and chosen.keep_failed:
            return True
        return zlib.crc32(request_id.encode("utf-8", "replace")) < chosen.sample * _HASHES

    def _keeps_next(self, event: str) -> bool:
        # Nothing tells these apart: every tenth, say, beginning with the first.
        sample = self._events[event].sample
        owed = self._owed.get(event, 1 - sample) + sample
        is_due = owed >= 1 and sample > 0
        self._owed[event] = owed - is_due
        return is_due
