"""Removing credentials from text that others wrote.

The rule here: of anything that looks like a credential at most the last four characters stay.
Providers show the same, and it is enough to tell which one it was.
"""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

from gateway.core.credential_shapes import (
    MARKS,
    PATTERNS,
    PATTERNS_IN_ANY_CASE,
    holds_any,
)

KEPT_CHARS: Final = 4
MIN_SECRET_CHARS: Final = 8

# The password in an address, as in postgresql://user:…@host. It may contain an @.
_ADDRESS = re.compile(r"(?i)(?P<kind>[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"'`]*:)[^\s/\"'`]+(?=@)")


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """The text without credentials; `secrets` are known values to remove wherever they occur."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            text = text.replace(secret, "…" + secret[-KEPT_CHARS:])
    if "://" in text and "@" in text:
        text = _ADDRESS.sub(r"\g<kind>…", text)
    if holds_any(text, MARKS):
        text = _mask_all(text, text, PATTERNS)
    return _mask_all(text, text.lower(), PATTERNS_IN_ANY_CASE)


def find_forms(secret: str) -> list[str]:
    """The other ways a known credential may be written: in an address, in quotes, in Base64."""
    if len(secret) < MIN_SECRET_CHARS:
        return []
    escaped = (json.dumps(secret)[1:-1], repr(secret)[1:-1])
    forms = (quote(secret, safe="", errors="replace"), *escaped, *_encode(secret))
    return [form for form in dict.fromkeys(forms) if form != secret]


def _encode(secret: str) -> Iterator[str]:
    """Its Base64 forms, as in `Basic …`: text before it shifts it by zero, one or two bytes."""
    raw = secret.encode("utf-8", "replace")
    for before, shared in ((0, 0), (1, 2), (2, 3)):  # skip characters that encode what comes before
        whole = (before + len(raw)) // 3 * 4  # and those that encode what comes after
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * before + raw).decode()[shared:whole]


def _mask_all(
    text: str, searched: str, patterns: Sequence[tuple[Sequence[str], re.Pattern[str]]]
) -> str:
    for marks, pattern in patterns:
        if holds_any(searched, marks):
            text = pattern.sub(_mask, text)
    return text


def _mask(match: re.Match[str]) -> str:
    secret = match["secret"].rstrip(".")
    ending = match["secret"][len(secret) :]  # punctuation that ends the sentence
    return f"{match['kind']}…{secret[-KEPT_CHARS:]}{ending}"
