"""Money: whole numbers of millionths of a US dollar, called micros.

The rule here: an amount of money is an integer. Fractions from others are read as exact decimals
and never become binary fractions on the way.
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

MICROS_PER_USD = 1_000_000


def parse_decimal(written: object) -> Decimal | None:
    """The number in a JSON value, text or number; None if it is none or not finite."""
    if isinstance(written, bool) or not isinstance(written, Decimal | int | float | str):
        return None
    # The shortest text for this float is what the provider wrote, if that had up to 15 digits.
    text = repr(written) if isinstance(written, float) else written
    try:
        number = Decimal(text)
    except InvalidOperation:  # no number, or one with a huge exponent
        return None
    return number if number.is_finite() else None


def round_micros(usd: Decimal) -> int:
    """An amount in dollars, to the nearest micro; half of one is rounded up."""
    return int(usd.scaleb(6).to_integral_value(ROUND_HALF_UP))


def say_usd(micros: int) -> str:
    """An amount for people: at least two decimals, and no trailing zeros beyond."""
    whole, rest = divmod(micros, MICROS_PER_USD)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits} USD"
