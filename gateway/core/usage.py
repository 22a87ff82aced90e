"""Tokens consumed, and who counted them.

The rule here: what a provider says is last-wins and checked, never added up (a provider may
repeat a cumulative count in every chunk).
"""

from typing import Any, Literal

import msgspec

UsageSource = Literal["provider", "estimate"]

# More than this is a provider's mistake, not an answer (the largest windows are near 10^7).
MAX_PLAUSIBLE_TOKENS = 1_000_000_000


class Usage(msgspec.Struct, frozen=True):
    """Tokens in and out, as the provider counted them or as we estimate them."""

    tokens_in: int | None
    tokens_out: int | None
    source: UsageSource


def parse_usage(value: object) -> Usage | None:
    """The usage in a provider's `usage` object; None when it holds no plausible count."""
    if not isinstance(value, dict):
        return None
    tokens_in = _count(value.get("prompt_tokens"))
    tokens_out = _count(value.get("completion_tokens"))
    if tokens_in is None and tokens_out is None:
        return None
    return Usage(tokens_in, tokens_out, "provider")


def _count(value: Any) -> int | None:  # noqa: ANN401 - whatever a provider sends
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_PLAUSIBLE_TOKENS else None
