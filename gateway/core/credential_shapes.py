"""What credentials look like, wherever they stand.

The rule here: what is found by its shape alone is what a vendor issues, or this gateway does; any
other is known by what stands before it, or not at all.
"""

import re
from collections.abc import Sequence
from typing import Final

_DIGIT = re.compile(r"[0-9]")
# Where a word begins. Not `\b`, for which a Chinese sentence is one word, credential and all.
_BEGIN = r"(?<![A-Za-z0-9_])"
# Prefixes that vendors put on what they issue. Stars, dots and ellipses are in the class because
# some providers echo a credential half masked, and half is too much; what is masked already stays.
_PREFIXED = re.compile(
    rf"(?:{_BEGIN}|(?<=%[0-9A-Fa-f]{{2}}))(?P<kind>(?>sk-or-v1-|sk-ant-|sk-proj-|sk-|gsk_|xai-|pplx-|AIza|gw_|hf_|csk-|tgp_v1_|fw_"
    r"|nvapi-))(?P<secret>(?!…)[A-Za-z0-9_\-*.…]{8,})"
)
# One of ours is known by its length, whatever stands right before it.
_OWN = re.compile(r"(?P<kind>gw_)(?P<secret>[0-9A-Za-z]{49})")
# What stands in a sentence in the place of one, as in `Authorization: Bearer <key>`.
PLACEHOLDER: Final = r"<(?:key|token|credential)>(?=\.?(?:[\s\"'`,;)]|$))"
_BEARER = re.compile(
    rf"(?i){_BEGIN}(?P<kind>bearer\s+)(?!{PLACEHOLDER})(?P<secret>[^\s\"'`,;]{{8,}})"
)
# What stands after "API key provided:" or "?key=" is one, whatever it looks like.
_NAMED = re.compile(
    rf"(?i)(?P<kind>[?&](?:api[-_]?)?key=|{_BEGIN}api[ _-]?key(?: provided)?\s*[:=]\s*[\"'`]?)"
    r"(?P<secret>[^\s\"'`&,;]{8,})"
)
# Looked for where a run of its letters begins, and only in one that a dot ends: from each `eyJ` on,
# a run of many of them would be read to its end again and again.
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]{11,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-])"
    rf"(?P<kind>[A-Za-z0-9_-]*?){_BEGIN}"
    r"(?P<secret>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)"
)
_AWS = re.compile(rf"{_BEGIN}(?P<kind>AKIA)(?P<secret>[0-9A-Z]{{16}})(?![A-Za-z0-9_])")
_PREFIXES = ("sk-", "gsk_", "xai-", "pplx-", "AIza", "gw_", "hf_", "tgp_v1_", "fw_", "nvapi-")
# What each pattern looks for has one of these in it. Finding none takes 0.5 µs, a pattern 1 to 20.
PATTERNS = ((("eyJ",), _JWT), (("gw_",), _OWN), (_PREFIXES, _PREFIXED), (("AKIA",), _AWS))
MARKS = ("eyJ", *_PREFIXES, "AKIA")
PATTERNS_IN_ANY_CASE = ((("bearer",), _BEARER), (("key",), _NAMED))
_CERTAIN = (_JWT, _OWN, _AWS)


def holds_credential(text: str) -> bool:
    """Whether something in the text looks like a credential, or stands where one is expected.

    Where only what stands before it tells, it has to have a digit, as what is random has:
    `sk-learn-pipeline` and "no API key: politely decline" are what people write.
    """
    return holds_issued(text) or _is_found(text, text.lower(), PATTERNS_IN_ANY_CASE)


def holds_issued(text: str) -> bool:
    """The same of what is known by its own shape alone; 0.5 µs where nothing is."""
    return holds_any(text, MARKS) and _is_found(text, text, PATTERNS)


def holds_any(text: str, marks: Sequence[str]) -> bool:
    """True when one of the marks stands in the text."""
    for mark in marks:  # noqa: SIM110 - `any` over a generator takes three times as long
        if mark in text:
            return True
    return False


def _is_found(
    text: str, searched: str, patterns: Sequence[tuple[Sequence[str], re.Pattern[str]]]
) -> bool:
    return any(
        pattern in _CERTAIN or _DIGIT.search(found["secret"]) is not None
        for marks, pattern in patterns
        if holds_any(searched, marks)
        for found in pattern.finditer(text)
    )
