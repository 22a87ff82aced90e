"""Keeps one mistake from filling the disk with lines about it.

The rule here: of an event that callers can provoke, so many lines a second are written for one
reason; the rest are counted, and a line says how many. No line of a settled exchange is withheld.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.core.events import EVENTS

LINES_A_SECOND = 10
WINDOW_S = 1.0
MAX_KINDS = 256  # of events and reasons at a time; more are counted together
MANY = "various"
NEVER = math.inf


class _Kind(msgspec.Struct):
    """One event with one reason."""

    began_at: float  # this second of it
    written: int = 0
    withheld: int = 0  # and not yet said


class StormGuard:
    """Counts the lines of this second."""

    def __init__(self) -> None:
        self.withheld = 0  # since the start
        self.due_at = NEVER  # when it is to be said what was withheld
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def admits(self, event: str, fields: Mapping[str, Any], now: float) -> bool:
        """Whether there is place for a line; `now` is of `core.clock.monotonic`."""
        declared = EVENTS.get(event)
        if declared is None or not declared.is_limited:
            return True
        kind = self._find((event, _reason_of(fields)), now)
        if now - kind.began_at >= WINDOW_S:
            kind.began_at, kind.written = now, 0
        if kind.written < LINES_A_SECOND:
            kind.written += 1
            return True
        kind.withheld += 1
        self.withheld += 1
        self.due_at = min(self.due_at, now + WINDOW_S)
        return False

    def sum_up(self, now: float) -> Iterator[dict[str, object]]:
        """The fields of a line for each kind of which some were withheld since the last time."""
        self.due_at = NEVER
        for name, kind in list(self._kinds.items()):
            if kind.withheld:
                event, reason = name
                yield {"of": event, "reason": reason or None, "count": kind.withheld}
                kind.withheld = 0
            elif now - kind.began_at >= WINDOW_S:
                self._kinds.pop(name, None)

    def _find(self, name: tuple[str, str], now: float) -> _Kind:
        kind = self._kinds.get(name)
        if kind is None:
            if len(self._kinds) >= MAX_KINDS:
                name = (name[0], MANY)
                self.due_at = min(self.due_at, now)  # some of them are over
            kind = self._kinds.setdefault(name, _Kind(now))
        return kind


def _reason_of(fields: Mapping[str, Any]) -> str:
    error = fields.get("exc_info")
    if isinstance(error, BaseException):
        return type(error).__name__
    if isinstance(error, tuple) and error and isinstance(error[0], type):
        return error[0].__name__
    # A sentence may differ in every line; a code or class does not.
    reason = fields.get("error_code") or fields.get("logger") or fields.get("task")
    return str(reason or "")[:64]
