"""What an answer says about itself: which model gave it, its id, and why it ended.

The rule here: it is read at most once, when the answer is over and only if somebody needs it. What
cannot be read is left out.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.core.trace import Answered

MAX_READ_BYTES = 256 * 1024  # above this, decoding a whole answer takes longer than it is worth
MAX_REASONS = 8  # a request may ask for a hundred choices


class _Choice(msgspec.Struct, gc=False):
    finish_reason: Any = None


class _Answer(msgspec.Struct, gc=False):
    """A completion, or one chunk of it."""

    model: Any = None
    id: Any = None
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_EMPTY = _Answer()


def read_ending(payload: bytes, finish_reasons: Iterable[Any]) -> Answered:
    """From a stream: `payload` is the data of an event that ended a choice."""
    answer = _read(payload)
    return Answered(_word(answer.model), _word(answer.id), _words(finish_reasons))


def read_whole(body: bytes) -> Answered:
    """From an answer that arrived whole."""
    answer = _read(body)
    reasons = (choice.finish_reason for choice in answer.choices or ())
    return Answered(_word(answer.model), _word(answer.id), _words(reasons))


def _read(payload: bytes) -> _Answer:
    if not payload or len(payload) > MAX_READ_BYTES:
        return _EMPTY
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _EMPTY


def _words(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(word for value in values if (word := _word(value)))[:MAX_REASONS]


def _word(value: Any) -> str:  # noqa: ANN401 - whatever a provider sends
    return value if isinstance(value, str) else ""
