"""What credentials look like in text.

The rule here: only credentials that a vendor or this gateway issues are recognised by their shape
alone. Any other is recognised by the text before it, or not at all.
"""

import re
from collections.abc import Sequence
from typing import Final

_DIGIT = re.compile(r"[0-9]")
# The beginning of a word. Not `\b`, for which a Chinese sentence with a credential is one word.
_BEGIN = r"(?<![A-Za-z0-9_])"
# Prefixes of credentials that vendors issue. Stars, dots and ellipses are in the class because some
# providers echo a credential only half masked. What is already fully masked stays.
_PREFIXED = re.compile(
    rf"(?:{_BEGIN}|(?<=%[0-9A-Fa-f]{{2}}))(?P<kind>(?>sk-or-v1-|sk-ant-|sk-proj-|sk-|gsk_|xai-|pplx-|AIza|gw_|hf_|csk-|tgp_v1_|fw_"
    r"|nvapi-))(?P<secret>(?!…)[A-Za-z0-9_\-*.…]{8,})"
)
# One of ours is recognised by its length, whatever comes right before it.
_OWN = re.compile(r"(?P<kind>gw_)(?P<secret>[0-9A-Za-z]{49})")
# A placeholder in prose, as in `Authorization: Bearer <key>`.
PLACEHOLDER: Final = r"<(?:key|token|credential)>(?=\.?(?:[\s\"'`,;)]|$))"
_BEARER = re.compile(
    rf"(?i){_BEGIN}(?P<kind>bearer\s+)(?!{PLACEHOLDER})(?P<secret>[^\s\"'`,;]{{8,}})"
)
# Whatever follows "API key provided:" or "?key=" is a credential.
_NAMED = re.compile(
    rf"(?i)(?P<kind>[?&](?:api[-_]?)?key=|{_BEGIN}api[ _-]?key(?: provided)?\s*[:=]\s*[\"'`]?)"
    r"(?P<secret>[^\s\"'`&,;]{8,})"
)
# Matched only at the start of a run of its characters that ends with a dot. Starting at each `eyJ`,
# a run with many of them would be read to its end again and again.
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]{11,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-])"
    rf"(?P<kind>[A-Za-z0-9_-]*?){_BEGIN}"
    r"(?P<secret>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)"
)
_AWS = re.compile(rf"{_BEGIN}(?P<kind>AKIA)(?P<secret>[0-9A-Z]{{16}})(?![A-Za-z0-9_])")
_PREFIXES = ("sk-", "gsk_", "xai-", "pplx-", "AIza", "gw_", "hf_", "tgp_v1_", "fw_", "nvapi-")
# Every match of a pattern contains one of its marks. Finding no mark takes 0.5 µs, a pattern 1 to
# 20.
PATTERNS = ((("eyJ",), _JWT), (("gw_",), _OWN), (_PREFIXES, _PREFIXED), (("AKIA",), _AWS))
MARKS = ("eyJ", *_PREFIXES, "AKIA")
PATTERNS_IN_ANY_CASE = ((("bearer",), _BEARER), (("key",), _NAMED))
_CERTAIN = (_JWT, _OWN, _AWS)


def holds_credential(text: str) -> bool:
    """Whether something in the text looks like a credential, or is where one is expected.

    If only the text before it tells, it must contain a digit, as random strings do: people also
    write `sk-learn-pipeline` and "no API key: politely decline".
    """
    return holds_issued(text) or _is_found(text, text.lower(), PATTERNS_IN_ANY_CASE)


def holds_issued(text: str) -> bool:
    """The same for credentials recognised by shape alone; 0.5 µs if there is none."""
    return holds_any(text, MARKS) and _is_found(text, text, PATTERNS)


def holds_any(text: str, marks: Sequence[str]) -> bool:
    """True if the text contains one of the marks."""
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
