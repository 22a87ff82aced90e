"""What may stand in a log line: short, without credentials, and on one line.

The rule here: every value goes through here on its way out, whoever logged it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from gateway.wire.redaction import holds_any, redact

MAX_CHARS = 1_024
MAX_EXCEPTION_CHARS = 8_192
MAX_ITEMS = 64
REDACTED = "[redacted]"

# Fields and headers whose value is a credential, whatever it looks like.
SECRET_NAMES = frozenset(
    {
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "password",
        "proxy-authorization",
        "secret",
        "set-cookie",
        "x-api-key",
        "x-goog-api-key",
        "x_api_key",
    }
)
# The same names inside a text: `Authorization: Basic …`, `'x-api-key': '…'`.
_NAMED = re.compile(
    r"(?i)(?P<name>\b(?:proxy-authorization|authorization|x-api-key|x-goog-api-key|api-key"
    r"|set-cookie|cookie)[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer)\s+)?)[^\s\"',;)}\]]{3,}"
)
_NAMED_MARKS = ("auth", "key", "cookie")  # in every match of it, in lower case
_CACHED_CHARS = 256
PLAIN = frozenset({type(None), bool, int, float})  # nothing in these to clean


class Cleaner:
    """Cleans values; knows the credentials that are in use."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secrets)
        # What stands across a cut is taken out before the cut: half of a secret is not found.
        self._slack = min(max(map(len, self._secrets), default=0), MAX_CHARS)
        # Most strings of a log line come again and again (models, paths, addresses): looking
        # one up takes 0.1 µs, cleaning it 2 µs.
        self._clean_short = lru_cache(maxsize=4_096)(self._clean_text)

    def clean(self, value: object) -> object:
        """The value as it may be logged."""
        if type(value) is str:
            return (self._clean_short if len(value) <= _CACHED_CHARS else self._clean_text)(value)
        if type(value) in PLAIN:
            return value
        if isinstance(value, dict):
            return {
                self._clean_text(str(name)): (
                    REDACTED if str(name).lower() in SECRET_NAMES else self.clean(inner)
                )
                for name, inner in list(value.items())[:MAX_ITEMS]
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(inner) for inner in list(value)[:MAX_ITEMS]]
        if isinstance(value, bytes):
            return self._clean_text(value[:MAX_CHARS].decode("latin-1"))
        return self._clean_text(_text_of(value))

    def clean_exception(self, text: str) -> str:
        """A traceback: its line breaks stay, its end is what matters."""
        end = self._redact(text[-MAX_EXCEPTION_CHARS - self._slack :])[-MAX_EXCEPTION_CHARS:]
        return "\n".join(escape_invisible(line) for line in end.split("\n"))

    def _clean_text(self, text: str) -> str:
        # Cut first: a megabyte is not searched for credentials. What the cut leaves of one that
        # stood across it is found by its beginning.
        if len(text) > MAX_CHARS:
            text = self._redact(text[: MAX_CHARS + self._slack])
            return escape_invisible(text[:MAX_CHARS] + "…")
        return escape_invisible(self._redact(text))

    def _redact(self, text: str) -> str:
        text = redact(text, self._secrets)
        if not holds_any(text.lower(), _NAMED_MARKS):
            return text
        return _NAMED.sub(rf"\g<name>{REDACTED}", text)


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - an object of somebody's; the line is written
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def escape_invisible(text: str) -> str:
    """The text with line breaks, terminal commands and all else that is not seen written out."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
