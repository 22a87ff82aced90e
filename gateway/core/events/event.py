"""What a log event is.

The rule here: a name in the past tense, the levels it may have, and a closed set of fields.
"""

from typing import Literal

import msgspec

Level = Literal["debug", "info", "warning", "error", "critical"]


class LogEvent(msgspec.Struct, frozen=True):
    """One sort of line that the gateway writes."""

    name: str
    levels: tuple[Level, ...]  # the usual one first
    means: str  # one sentence, without its full stop
    fields: tuple[str, ...] = ()  # each is explained in `fields`


def make_event(name: str, level: str, means: str, fields: str = "") -> LogEvent:
    """An event whose levels and fields are written with blanks between them."""
    return LogEvent(name, tuple(level.split()), means, tuple(fields.split()))  # type: ignore[arg-type]  # a test looks at the words
