"""What a log event is.

The rule here: a name in the past tense, the levels it may have, and a closed set of fields.
"""

from typing import Literal, cast

import msgspec

Level = Literal["debug", "info", "warning", "error", "critical"]


class LogEvent(msgspec.Struct, frozen=True):
    """One sort of line that the gateway writes."""

    name: str
    levels: tuple[Level, ...]  # the usual one first
    means: str  # one sentence, without its full stop
    fields: tuple[str, ...] = ()  # each is explained in `fields`
    is_limited: bool = False  # callers can provoke it, so it may be withheld when it floods


def make_event(
    name: str, level: str, means: str, fields: str = "", *, is_limited: bool = False
) -> LogEvent:
    """An event whose levels and fields are written with blanks between them."""
    levels = cast("tuple[Level, ...]", tuple(level.split()))  # a test looks at the words
    return LogEvent(name, levels, means, tuple(fields.split()), is_limited)
