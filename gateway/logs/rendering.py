"""Lines as they are shown: as JSON, as logfmt, or for people.

The rule here: nothing that stands in a line reaches a terminal as a command; it is written out.
"""

from collections.abc import Callable
from typing import Any, Final

from gateway.core.events.exchange import SETTLED
from gateway.logs.lines import Fields, as_json, as_text, find_object
from gateway.logs.summary import FINISHED
from gateway.telemetry.cleaning import escape_invisible

Render = Callable[[bytes, Fields], str]
"""From a line and its fields to what is shown, without its end."""

RESET: Final = "\x1b[0m"
FAINT: Final = "\x1b[2m"
LEVEL_COLOURS: Final = {
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31m",
}
GOOD: Final = "\x1b[32m"
BAD: Final = "\x1b[31m"
ODD: Final = "\x1b[33m"  # the gateway or the caller ended it

# What people look at first in the line of an exchange; the rest is in the other formats.
SHOWN: Final = (
    "provider",
    "model",
    "principal",
    "error_code",
    "error_detail",
    "refused_by",
    "first_content_s",
    "duration_s",
    "added_s",
    "tokens_in",
    "tokens_out",
    "cost_micros",
    "attempts",
    "labels",
    "request_id",
)
_HEAD: Final = frozenset({"timestamp", "level", "event", "exception"})


def render_json(line: bytes, fields: Fields) -> str:
    """The line as it was written; what cannot be seen is written as JSON writes it."""
    written = find_object(line)
    if written is not None:
        text = written.decode()
        if text.isprintable():
            return text
    text = as_json(fields)
    return text if text.isprintable() else _escape_json(text)


def render_logfmt(_: bytes, fields: Fields) -> str:
    """`name=value`, without the fields that say nothing."""
    return " ".join(_pairs(fields, fields))


def make_console(*, colours: bool) -> Render:
    """For people: when, how bad, what; of an exchange what matters most."""

    def paint(text: str, colour: str) -> str:
        return f"{colour}{text}{RESET}" if colours and colour else text

    def render(_: bytes, fields: Fields) -> str:
        level = escape_invisible(as_text(fields.get("level")))
        parts = [
            paint(escape_invisible(fields["timestamp"]), FAINT),
            paint(f"{level:<7}", LEVEL_COLOURS.get(level, "")),
        ]
        if fields["event"] == SETTLED:
            ending = f"{as_text(fields.get('status'))} {as_text(fields.get('outcome'))}"
            parts.append(paint(escape_invisible(ending), _colour_of(fields)))
            parts += _pairs(fields, SHOWN)
        else:
            parts.append(escape_invisible(fields["event"]))
            parts += _pairs(fields, [name for name in fields if name not in _HEAD])
        return " ".join(parts) + _render_exception(fields.get("exception"))

    return render


def _colour_of(fields: Fields) -> str:
    outcome = fields.get("outcome")
    if outcome == FINISHED:
        return GOOD
    return BAD if outcome == "upstream_failed" else ODD


def _pairs(fields: Fields, names: Any) -> list[str]:  # noqa: ANN401 - any names, in their order
    found = [(name, fields.get(name)) for name in names]
    return [
        f"{escape_invisible(name)}={_quote(as_text(value))}"
        for name, value in found
        if value is not None
    ]


def _quote(text: str) -> str:
    """As it is, or as a JSON text where a reader could not tell where it ends."""
    if text and text.isprintable() and not any(sign in text for sign in ' "=\\'):
        return text
    return _escape_json(as_json(text))


def _escape_json(text: str) -> str:
    """JSON whose texts hold nothing invisible; what is beyond 16 bits takes two escapes."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable()
        else "".join(
            f"\\u{int.from_bytes(pair, 'big'):04x}" for pair in _in_pairs(char.encode("utf-16-be"))
        )
        for char in text
    )


def _in_pairs(units: bytes) -> list[bytes]:
    return [units[at : at + 2] for at in range(0, len(units), 2)]


def _render_exception(exception: object) -> str:
    """A traceback on lines of its own, indented, so that none passes for a line of the log."""
    if not isinstance(exception, str):
        return ""
    return "".join(f"\n    {escape_invisible(line)}" for line in exception.split("\n"))
