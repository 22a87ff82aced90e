"""Something that either works or fails, logged once for each change.

The rule here: one line when it begins to fail and one when it works again, however often it is
tried in between.
"""

import structlog

_log = structlog.get_logger()


class Condition:
    """One thing that may fail, and the two events that are logged for it."""

    def __init__(self, failed_event: str, mended_event: str) -> None:
        self._failed_event = failed_event
        self._mended_event = mended_event
        self.is_failing = False

    def fail(self, reason: str) -> None:
        """Note that it fails."""
        if not self.is_failing:
            self.is_failing = True
            _log.error(self._failed_event, reason=reason)

    def mend(self) -> None:
        """Note that it works."""
        if self.is_failing:
            self.is_failing = False
            _log.info(self._mended_event)
