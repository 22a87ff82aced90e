"""Making values from a provider's error safe to pass on.

The rule here: the result is limited in size, holds no credentials, and any JSON encoder can write
it.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from gateway.wire.redaction import redact

MAX_MESSAGE_CHARS: Final = 2_000
MAX_EXTRA_CHARS: Final = 20_000  # the longest string kept from a provider's extra fields
_MAX_EXTRA_DEPTH: Final = 6
_MAX_EXTRA_ITEMS: Final = 100
_MAX_NUMBER: Final = 2**63
_READ_FACTOR: Final = 4  # how much more is read than kept: redaction may shorten the text

# Control characters, line separators, and the marks that change the direction of text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(
    text: str, *, secrets: Sequence[str] = (), max_chars: int = MAX_MESSAGE_CHARS
) -> str:
    """One line of readable text, without credentials, at most `max_chars` long."""
    text = _CONTROLS.sub(" ", text[: max_chars * _READ_FACTOR])
    text = redact(_SURROGATES.sub("\ufffd", text), secrets).strip()
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def clean_value(value: object, *, secrets: Sequence[str] = (), depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON value with every string cleaned; whatever is too deep or too large becomes null."""
    if isinstance(value, str):
        # Line ends stay: a `failed_generation` may be code, and clients retry with it.
        text = _SURROGATES.sub("\ufffd", value[: MAX_EXTRA_CHARS * _READ_FACTOR])
        return redact(text, secrets)[:MAX_EXTRA_CHARS]
    if isinstance(value, int | float):
        return value if abs(value) < _MAX_NUMBER else None  # NaN fails this comparison too
    if depth >= _MAX_EXTRA_DEPTH:
        return None
    return _clean_container(value, secrets, depth + 1)


def _clean_container(value: object, secrets: Sequence[str], depth: int) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [clean_value(v, secrets=secrets, depth=depth) for v in value[:_MAX_EXTRA_ITEMS]]
    if isinstance(value, dict):
        items = list(value.items())[:_MAX_EXTRA_ITEMS]
        return {
            clean_text(str(name), secrets=secrets): clean_value(v, secrets=secrets, depth=depth)
            for name, v in items
        }
    return None
