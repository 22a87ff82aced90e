"""Money: whole numbers of millionths of a US dollar, called micros.

The rule here: a sum of money is an integer. What others write as a fraction is read as the decimal
it is, and never becomes a binary fraction on the way.
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

MICROS_PER_USD = 1_000_000


def parse_decimal(written: object) -> Decimal | None:
    """The number in a piece of JSON, text or number; None when it is none, or no finite one."""
    if isinstance(written, bool) or not isinstance(written, Decimal | int | float | str):
        return None
    # The shortest text that means this float is what the provider wrote, up to 15 digits of it.
    text = repr(written) if isinstance(written, float) else written
    try:
        number = Decimal(text)
    except InvalidOperation:  # no number, or one whose exponent has no end
        return None
    return number if number.is_finite() else None


def round_micros(usd: Decimal) -> int:
    """An amount in dollars, to the nearest micro; half of one is rounded up."""
    return int(usd.scaleb(6).to_integral_value(ROUND_HALF_UP))


def say_usd(micros: int) -> str:
    """An amount for people: at least cents, and no digit more than it has."""
    whole, rest = divmod(micros, MICROS_PER_USD)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits} USD"
