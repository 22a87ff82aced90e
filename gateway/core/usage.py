"""Tokens used, who counted them, and what the provider says it charges for them.

The rule here: a provider's counts are checked, and the last one wins. They are never added up, as a
provider may repeat a cumulative count in every chunk. But a zero never replaces an earlier count.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from gateway.core.money import parse_decimal, round_micros

UsageSource = Literal["provider", "estimate"]

# More than this is a provider's mistake (the largest context windows are near 10^7).
MAX_PLAUSIBLE_TOKENS = 1_000_000_000
# The same for money: the largest window at the highest price costs below a hundredth of it.
MAX_PLAUSIBLE_USD = 10_000
# The unit of xAI's `cost_in_usd_ticks`.
TICKS_PER_USD = 10_000_000_000


# The fields that all providers send; some send no others.
_PLAIN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})


class Usage(msgspec.Struct, frozen=True):
    """Tokens in and out, as the provider counted them or as we estimate them."""

    tokens_in: int | None
    tokens_out: int | None
    source: UsageSource
    tokens_cached: int | None = None  # part of tokens_in, read from the provider's cache
    tokens_reasoning: int | None = None  # part of tokens_out, not always shown
    provider_cost_micros: int | None = None  # the provider's own, in millionths of a dollar

    @property
    def tokens(self) -> int:
        """In and out together; an unknown count is 0."""
        return (self.tokens_in or 0) + (self.tokens_out or 0)

    def fill(self, tokens_in: int, tokens_out: int) -> "Usage":
        """The same with these estimates for counts that are unknown."""
        if self.tokens_in is not None and self.tokens_out is not None:
            return self
        return msgspec.structs.replace(
            self,
            tokens_in=tokens_in if self.tokens_in is None else self.tokens_in,
            tokens_out=tokens_out if self.tokens_out is None else self.tokens_out,
            source="estimate",
        )

    def correct(self, later: "Usage") -> "Usage":
        """Update it with a later count for the same answer; its zeros and gaps change nothing.

        Some providers count the prompt before the first word and the answer after the last, each
        time with zeros for the rest. Some send another count of only zeros at the end.
        """
        if later.tokens_in and later.tokens_out:
            return later
        cost = later.provider_cost_micros
        if not later.tokens_out:
            if not later.tokens_in and not cost:
                return self
            cost = cost or self.provider_cost_micros
        read = later if later.tokens_in else self
        written = later if later.tokens_out else self
        return Usage(
            read.tokens_in,
            written.tokens_out,
            later.source,
            read.tokens_cached,
            written.tokens_reasoning,
            cost,
        )

    def raise_out(self, tokens_out: int) -> "Usage":
        """The same with at least this many tokens out, which is our estimate, at our own price."""
        if self.tokens_out is None or self.tokens_out >= tokens_out:
            return self
        return msgspec.structs.replace(
            self, tokens_out=tokens_out, source="estimate", provider_cost_micros=None
        )

    def at_most(self, tokens_in: int, tokens_out: int) -> "Usage":
        """The same, limited to these tokens and without a cost, from a server we do not trust."""
        read = None if self.tokens_in is None else min(self.tokens_in, tokens_in)
        written = None if self.tokens_out is None else min(self.tokens_out, tokens_out)
        cached = _at_most(self.tokens_cached, read)
        return Usage(read, written, self.source, cached, _at_most(self.tokens_reasoning, written))

    def plus(self, other: "Usage") -> "Usage":
        """The sum of two attempts; an estimate if one of them is."""
        return Usage(
            _add(self.tokens_in, other.tokens_in),
            _add(self.tokens_out, other.tokens_out),
            self.source if self.source == other.source else "estimate",
            _add(self.tokens_cached, other.tokens_cached),
            _add(self.tokens_reasoning, other.tokens_reasoning),
            _add(self.provider_cost_micros, other.provider_cost_micros),
        )


def parse_usage(value: object) -> Usage | None:
    """The usage in a provider's `usage` object; None if it holds nothing plausible.

    Fractions should be `Decimal`, because a cost is money.
    """
    if not isinstance(value, dict):
        return None
    tokens_in = _count(value.get("prompt_tokens"))
    tokens_out = _count(value.get("completion_tokens"))
    total = value.get("total_tokens")
    if (
        _PLAIN.issuperset(value)
        and tokens_in is not None
        and tokens_out is not None
        and (total is None or total == tokens_in + tokens_out)
    ):
        return Usage(tokens_in, tokens_out, "provider")
    cost = _read_cost(value)
    if tokens_in is None and tokens_out is None and cost is None:
        return None
    cached, reasoning = _read_cached(value), _read_reasoning(value)
    if tokens_out is not None:
        # `completion_tokens` of xAI and Google do not include reasoning. Only the total shows it,
        # and Google does not report it otherwise.
        hidden = (_count(total) or 0) - (tokens_in or 0) - tokens_out
        is_thought = bool(tokens_in) and reasoning is None and hidden != cached
        if hidden > 0 and (hidden == reasoning or is_thought):
            tokens_out, reasoning = tokens_out + hidden, hidden
    return Usage(
        tokens_in,
        tokens_out,
        "provider",
        _at_most(cached, tokens_in),
        _at_most(reasoning, tokens_out),
        cost,
    )


def _read_cached(value: Mapping[str, Any]) -> int | None:
    """How many prompt tokens the provider had in its cache."""
    details = value.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if cached is not None:
        return cached
    details = value.get("prompt_token_details")  # Mistral has both spellings
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    for name in ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"):
        if cached is None:  # DeepSeek, Mistral, Together
            cached = _count(value.get(name))
    return cached


def _read_reasoning(value: Mapping[str, Any]) -> int | None:
    details = value.get("completion_tokens_details")
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    return _count(value.get("reasoning_tokens")) if reasoning is None else reasoning


def _read_cost(usage: Mapping[str, Any]) -> int | None:
    """What a provider charges for the answer, in micros."""
    cost = usage.get("cost")
    if isinstance(cost, dict):  # Perplexity's
        return _micros(parse_decimal(cost.get("total_cost")))
    if cost is None:
        ticks = usage.get("cost_in_usd_ticks")
        ticks = None if ticks is None else parse_decimal(ticks)
        return None if ticks is None else _micros(ticks / TICKS_PER_USD)
    charged = parse_decimal(cost)
    if charged is not None and usage.get("is_byok") is True:
        # OpenRouter with the user's own provider key: `cost` is only its fee; the provider bills
        # the model separately.
        details = usage.get("cost_details")
        paid = details.get("upstream_inference_cost") if isinstance(details, dict) else None
        billed = parse_decimal(paid)
        # Check both before adding: a sum takes time in proportion to how far its exponents differ.
        if billed is not None and _micros(billed) is not None and _micros(charged) is not None:
            charged += billed
    return _micros(charged)


def _micros(usd: Decimal | None) -> int | None:
    if usd is None or not 0 <= usd <= MAX_PLAUSIBLE_USD:
        return None
    return round_micros(usd)


def _at_most(part: int | None, whole: int | None) -> int | None:
    """The part, or None if it is larger than the whole."""
    return part if part is None or (whole is not None and part <= whole) else None


def _count(value: Any) -> int | None:  # noqa: ANN401 - whatever a provider sends
    if type(value) is not int:  # excludes bool
        return None
    return value if 0 <= value <= MAX_PLAUSIBLE_TOKENS else None


def _add(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second
