"""Money as whole numbers."""

from decimal import Decimal

import pytest

from gateway.core.money import parse_decimal, round_micros, say_usd


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (0.1, "0.1"),
        (1e-05, "0.00001"),
        (7, "7"),
        ("2.50", "2.50"),
        (Decimal("0.0004970133333333333"), "0.0004970133333333333"),
    ],
)
def test_a_number_is_what_was_written(written: object, number: str) -> None:
    """0.1 is a tenth, not the binary fraction next to it."""
    assert parse_decimal(written) == Decimal(number)


@pytest.mark.parametrize("written", [True, None, [], "", "x", "NaN", float("nan"), "-Infinity"])
def test_what_is_no_number_is_none(written: object) -> None:
    """A provider may send anything."""
    assert parse_decimal(written) is None


@pytest.mark.parametrize("written", ["1e-999999999999999999999", "1e999999999999999999999"])
def test_an_exponent_without_end_is_no_number(written: str) -> None:
    """It would raise where nobody expects it."""
    assert parse_decimal(written) is None


@pytest.mark.parametrize(
    ("usd", "micros"),
    [("2.5", 2_500_000), ("0.0000005", 1), ("0.0000004999", 0), ("1E-999999", 0), ("0", 0)],
)
def test_half_a_micro_is_rounded_up(usd: str, micros: int) -> None:
    """The rule is one for all sums."""
    assert round_micros(Decimal(usd)) == micros


@pytest.mark.parametrize(
    ("micros", "said"),
    [
        (0, "0.00 USD"),
        (5_000_000, "5.00 USD"),
        (2_500_000, "2.50 USD"),
        (1, "0.000001 USD"),
        (1_234_560_000, "1234.56 USD"),
    ],
)
def test_people_are_told_dollars(micros: int, said: str) -> None:
    """Two digits at least, and none made up."""
    assert say_usd(micros) == said
