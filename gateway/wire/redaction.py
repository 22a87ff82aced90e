"""Taking credentials out of text that others wrote.

The rule here: at most the last four characters of anything that looks like a credential stay,
which is what providers themselves show and enough to tell which one it was.
"""

import re
from collections.abc import Sequence
from typing import Final

from gateway.core.credential_shapes import (
    MARKS,
    PATTERNS,
    PATTERNS_IN_ANY_CASE,
    holds_any,
)

KEPT_CHARS: Final = 4
MIN_SECRET_CHARS: Final = 8

# The password in an address, as in postgresql://user:…@host. An @ may stand in it.
_ADDRESS = re.compile(r"(?i)(?P<kind>[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"'`]*:)[^\s/\"'`]+(?=@)")


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """The text without credentials; `secrets` are known values to take out wherever they stand."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            text = text.replace(secret, "…" + secret[-KEPT_CHARS:])
    if "://" in text and "@" in text:
        text = _ADDRESS.sub(r"\g<kind>…", text)
    if holds_any(text, MARKS):
        text = _mask_all(text, text, PATTERNS)
    return _mask_all(text, text.lower(), PATTERNS_IN_ANY_CASE)


def _mask_all(
    text: str, searched: str, patterns: Sequence[tuple[Sequence[str], re.Pattern[str]]]
) -> str:
    for marks, pattern in patterns:
        if holds_any(searched, marks):
            text = pattern.sub(_mask, text)
    return text


def _mask(match: re.Match[str]) -> str:
    secret = match["secret"].rstrip(".")
    ending = match["secret"][len(secret) :]  # the end of a sentence
    return f"{match['kind']}…{secret[-KEPT_CHARS:]}{ending}"
