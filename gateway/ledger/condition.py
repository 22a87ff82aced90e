"""Something that works or does not, said once for each change.

The rule here: one line when it fails and one when it is well again, however often it is tried
meanwhile.
"""

import structlog

_log = structlog.get_logger()


class Condition:
    """One thing, and the two events that are logged of it."""

    def __init__(self, failed_event: str, mended_event: str) -> None:
        self._failed_event = failed_event
        self._mended_event = mended_event
        self.is_failing = False

    def fail(self, reason: str) -> None:
        """It does not work."""
        if not self.is_failing:
            self.is_failing = True
            _log.error(self._failed_event, reason=reason)

    def mend(self) -> None:
        """It works."""
        if self.is_failing:
            self.is_failing = False
            _log.info(self._mended_event)
