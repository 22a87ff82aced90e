"""What usage costs, at the prices of the registry.

The rule here: only whole numbers. Tokens times micros per million tokens are summed first and
rounded once: half up for what was used, up for what is reserved.
"""

import hashlib
from decimal import Decimal

import msgspec

from gateway.core.money import round_micros
from gateway.core.usage import Usage

TOKENS_PRICED = 1_000_000  # prices are for this many tokens
VERSION_CHARS = 12


class Price(msgspec.Struct, frozen=True):
    """What a million tokens of one model cost, in micros."""

    in_micros: int
    cached_in_micros: int  # for prompt tokens that the provider had in its cache
    out_micros: int
    version: str  # a digest of the three prices, so equal prices have the same version everywhere

    def at_most(self, tokens_in: int, tokens_out: int) -> int:
        """The highest cost of this usage, whatever was cached, in micros, rounded up."""
        dearest = max(self.in_micros, self.cached_in_micros)
        return -(-(tokens_in * dearest + tokens_out * self.out_micros) // TOKENS_PRICED)


class Cost(msgspec.Struct, frozen=True):
    """The cost of a usage."""

    micros: int  # millionths of a US dollar
    price_version: str

    def plus(self, other: "Cost") -> "Cost":
        """The cost of two attempts together; an exchange has only one price."""
        return Cost(self.micros + other.micros, self.price_version)


def make_price(
    in_usd: Decimal | None, out_usd: Decimal | None, cached_in_usd: Decimal | None = None
) -> Price | None:
    """The price from dollars per million tokens; None unless prompt and answer have one.

    Without a price of their own, cached prompt tokens cost the same as others.
    """
    if in_usd is None or out_usd is None:
        return None
    cached = in_usd if cached_in_usd is None else cached_in_usd
    prices = round_micros(in_usd), round_micros(cached), round_micros(out_usd)
    digest = hashlib.sha256("/".join(map(str, prices)).encode()).hexdigest()
    return Price(*prices, version=digest[:VERSION_CHARS])


FREE = make_price(Decimal(0), Decimal(0))
"""Of what nobody here pays for."""
FREE_VERSION = "" if FREE is None else FREE.version


def price_usage(usage: Usage, price: Price | None) -> Cost | None:
    """What a usage costs, to the nearest micro; None without a price."""
    if price is None:
        return None
    cached = usage.tokens_cached or 0
    fresh = max((usage.tokens_in or 0) - cached, 0)
    total = fresh * price.in_micros + cached * price.cached_in_micros
    total += (usage.tokens_out or 0) * price.out_micros
    return Cost((total + TOKENS_PRICED // 2) // TOKENS_PRICED, price.version)
