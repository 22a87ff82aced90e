"""What usage costs."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cost import FREE, Cost, make_price, price_usage
from gateway.core.usage import Usage

TOKENS = st.integers(0, 10**9)
PRICES = st.decimals(0, 10**6, places=6)


def test_a_model_has_a_price_when_both_halves_have_one() -> None:
    """I11: half a price would make half of the answers free."""
    assert make_price(Decimal(1), None) is None
    assert make_price(None, Decimal(1)) is None
    assert make_price(Decimal(0), Decimal(0)) == FREE


def test_usage_costs_what_the_list_says() -> None:
    """A thousand tokens in at 3 dollars for a million, and a hundred out at 15."""
    price = make_price(Decimal(3), Decimal(15))
    assert price is not None

    assert price_usage(Usage(1_000, 100, "provider"), price) == Cost(4_500, price.version)


def test_what_was_in_the_cache_has_a_price_of_its_own() -> None:
    """Nine tenths of a long chat are in it."""
    usage = Usage(1_000, 0, "provider", tokens_cached=900)
    cheap = make_price(Decimal(3), Decimal(15), Decimal("0.3"))
    plain = make_price(Decimal(3), Decimal(15))
    assert cheap is not None
    assert plain is not None

    assert price_usage(usage, cheap) == Cost(570, cheap.version)
    assert price_usage(usage, plain) == Cost(3_000, plain.version)


def test_without_a_price_nothing_is_said() -> None:
    """I11: not zero."""
    assert price_usage(Usage(1, 1, "provider"), None) is None


def test_the_version_is_that_of_the_prices() -> None:
    """I11: the ledger says with which ones it was computed, on every machine alike."""
    one = make_price(Decimal("0.59"), Decimal("0.79"))
    same = make_price(Decimal("0.590"), Decimal("0.79"), Decimal("0.59"))
    other = make_price(Decimal("0.59"), Decimal("0.80"))

    assert one == same
    assert one is not None
    assert other is not None
    assert one.version == "d792e24ef69a"
    assert other.version != one.version


@given(TOKENS, TOKENS, PRICES, PRICES, PRICES)
def test_nothing_is_lost_but_half_a_micro(
    tokens_in: int, tokens_out: int, in_usd: Decimal, out_usd: Decimal, cached_usd: Decimal
) -> None:
    """Against fractions, which are exact; and what is set aside is never less."""
    price = make_price(in_usd, out_usd, cached_usd)
    assert price is not None
    cached = tokens_in // 3
    exact = (tokens_in - cached) * Fraction(in_usd) + cached * Fraction(cached_usd)
    exact += tokens_out * Fraction(out_usd)

    cost = price_usage(Usage(tokens_in, tokens_out, "provider", cached), price)

    assert cost is not None
    assert -Fraction(1, 2) < cost.micros - exact <= Fraction(1, 2)
    assert cost.micros <= price.at_most(tokens_in, tokens_out)


def test_two_attempts_add_up() -> None:
    """I09: both are billed."""
    assert Cost(3, "v").plus(Cost(4, "v")) == Cost(7, "v")
