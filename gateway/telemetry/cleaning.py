"""What may stand in a log line: short, without credentials, and on one line.

The rule here: every value goes through here on its way out, whoever logged it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from gateway.core.credential_shapes import PLACEHOLDER, holds_any
from gateway.wire.redaction import find_forms, redact

MAX_CHARS = 1_024
MAX_EXCEPTION_CHARS = 8_192
MAX_ITEMS = 64
MAX_DEPTH = 4  # of blocks in blocks; what is deeper, or holds itself, is shown as text
SLACK_CHARS = 1_024  # beyond a cut: what stands across it is taken out before
MAX_INT_BITS = 63  # a longer number is no number of JSON
REDACTED = "[redacted]"

# Fields and headers whose value is a credential, whatever it looks like; `-` counts as `_`.
SECRET_NAMES = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "authorization",
        "client_secret",
        "cookie",
        "credential",
        "id_token",
        "passphrase",
        "passwd",
        "password",
        "proxy_authorization",
        "refresh_token",
        "secret",
        "set_cookie",
        "token",
        "x_api_key",
        "x_auth_token",
        "x_goog_api_key",
    }
)
# Longer names end so: `groq_api_key`, `db_password`.
_SECRET_ENDS = tuple(f"_{name}" for name in sorted(SECRET_NAMES))
# The same inside a text, also at the end of a longer name (`x-goog-api-key`, `client_secret`).
# The first letter stands alone in front: so a search skips to it, which takes a tenth of the time.
_AUTHORIZATION = r"[Aa](?i:uthorization)"
_COOKIE = r"[Cc](?i:ookie)"
_KEY = r"[Aa](?i:pi[-_]?key|uth[-_]token)"
_OTHER = (
    r"[PpSsTt](?:(?<=[Pp])(?i:assw(?:or)?d|assphrase)|(?<=[Ss])(?i:ecret)"
    r"|(?<=[Tt])(?<![A-Za-z].)(?i:oken))"
)
_ANY = (
    r"[AaCcPpSsTt](?:(?<=[Aa])(?i:uthorization|pi[-_]?key)|(?<=[Cc])(?i:ookie)"
    r"|(?<=[Pp])(?i:assw(?:or)?d|assphrase)|(?<=[Ss])(?i:ecret)"
    r"|(?<=[Tt])(?<![A-Za-z].)(?i:oken))"
)
_VALUE = r"[^\s\"',;&)}\]]"
_PAIR = rf"[\w-]+=(?:\"[^\"]*\"|{_VALUE}*)"
_KEY_MARKS = ("api-key", "api_key", "apikey", "auth-token", "auth_token")
_OTHER_MARKS = ("passw", "passphrase", "secret", "token")
_ALL_MARKS = ("authorization", "cookie", *_KEY_MARKS, *_OTHER_MARKS)
# What is in every match, in lower case, and what to look for where one of these is.
_NAMED = tuple(
    (marks, re.compile(rf"(?s)(?P<name>{name}){value}"))
    for marks, name, value in (
        # Whatever is in quotes, as in `'Cookie': '…'`, `{\"password\": \"…\"}` and
        # `(b'Authorization', b'…')`; where the second quote was cut off, all that is left.
        (
            _ALL_MARKS,
            rf"{_ANY}\\*[\"']?(?:\s*[:=]\s*b?|,\s*b)(?P<quote>\\*[\"'])",
            r"(?:(?!(?P=quote))(?:\\.|.))+",
        ),
        # `Authorization: Basic …`, `Authorization: Digest username="…", response="…"`
        (
            ("authorization",),
            rf"{_AUTHORIZATION}\s*[:=]\s*+(?!\[redacted|(?i:bearer)\s+{PLACEHOLDER})",
            rf"{_VALUE}{{3,}}(?:[ \t]+(?:{_PAIR}|{_VALUE}+))?(?:\s*,\s*{_PAIR})*",
        ),
        # `Cookie: …` to the end of its line: nobody keeps to what may stand in one.
        (("cookie",), rf"{_COOKIE}\s*[:=]\s*+(?!\\*[\"']|\[redacted)", r"[^\r\n]{3,}"),
        # `x-api-key: …`
        (_KEY_MARKS, rf"{_KEY}\\*[\"']?\s*[:=]\s*+(?!\[redacted)", rf"{_VALUE}{{3,}}"),
        # `"authorization": Basic …`
        (
            ("authorization",),
            rf"{_AUTHORIZATION}\\*[\"']\s*[:=]\s*(?i:(?:basic|bearer)\s+)?+(?!\[redacted)",
            rf"{_VALUE}{{3,}}",
        ),
        # `?token=…`, `password=…`; not `secret: …`, which is how a setting is complained of.
        (_OTHER_MARKS, rf"{_OTHER}=(?!\[redacted)", rf"{_VALUE}+"),
    )
)
_CACHED_CHARS = 256
PLAIN = frozenset({type(None), bool, int, float})  # nothing in these to clean


class Cleaner:
    """Cleans values; knows the credentials that are in use."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._forms = tuple(form for secret in secrets for form in find_forms(secret))
        self._shortest = min(map(len, self._forms), default=0)
        self.slack = max(SLACK_CHARS, *map(len, (*self._secrets, *self._forms)), 0)
        # Most strings of a log line come again and again (models, paths, addresses): looking
        # one up takes 0.1 µs, cleaning it 2 µs.
        self._clean_short = lru_cache(maxsize=4_096)(self._clean_text)

    def clean(self, value: object, depth: int = 0) -> object:
        """The value as it may be logged."""
        if type(value) is str:
            return (self._clean_short if len(value) <= _CACHED_CHARS else self._clean_text)(value)
        if type(value) in PLAIN:
            is_huge = type(value) is int and value.bit_length() > MAX_INT_BITS
            return self._clean_text(text_of(value)) if is_huge else value
        if depth < MAX_DEPTH:
            if isinstance(value, dict):
                return {
                    self._clean_text(text_of(name)): (
                        REDACTED if is_secret_name(name) else self.clean(inner, depth + 1)
                    )
                    for name, inner in list(value.items())[:MAX_ITEMS]
                }
            if isinstance(value, list | tuple | set | frozenset):
                return [self.clean(inner, depth + 1) for inner in list(value)[:MAX_ITEMS]]
        if isinstance(value, bytes):
            return self._clean_text(value[: MAX_CHARS + self.slack].decode("latin-1"))
        return self._clean_text(text_of(value))

    def clean_exception(self, text: str) -> str:
        """A traceback: its line breaks stay, its end is what matters."""
        end = self.redact(text[-MAX_EXCEPTION_CHARS - self.slack :])[-MAX_EXCEPTION_CHARS:]
        return "\n".join(escape_invisible(line) for line in end.split("\n"))

    def redact(self, text: str, secrets: Sequence[str] = ()) -> str:
        """The text without credentials, these included, whatever else stands in it."""
        if len(text) >= self._shortest:  # ids, new in each line, are not
            for form in self._forms:
                text = text.replace(form, "…")
        return redact_named(redact(text, (*self._secrets, *secrets)))

    def _clean_text(self, text: str) -> str:
        # Cut first: a megabyte is not searched for credentials.
        if len(text) > MAX_CHARS:
            text = self.redact(text[: MAX_CHARS + self.slack])
            return escape_invisible(text[:MAX_CHARS] + "…")
        return escape_invisible(self.redact(text))


def redact_named(text: str) -> str:
    """The text without what stands behind a name that means a credential."""
    lowered = text.lower()
    if holds_any(lowered, _ALL_MARKS):
        for marks, pattern in _NAMED:
            if holds_any(lowered, marks):
                text = pattern.sub(rf"\g<name>{REDACTED}", text)
    return text


def is_secret_name(name: object) -> bool:
    """Whether the value of a field or header of this name is a credential."""
    return _means_secret(name if type(name) is str else text_of(name))


@lru_cache(maxsize=1_024)
def _means_secret(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in SECRET_NAMES or plain.endswith(_SECRET_ENDS)


def text_of(value: object) -> str:
    """An object as text, also one that cannot be shown."""
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
