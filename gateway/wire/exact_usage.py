"""The `usage` in a provider's JSON, with fractions exactly as written.

The rule here: a fraction may be money, so it becomes a `Decimal` and never a float.
"""

import json
from typing import Any

import msgspec

from gateway.core.money import parse_decimal


class _Counted(msgspec.Struct):
    usage: Any = None


_decode = msgspec.json.Decoder(_Counted, float_hook=parse_decimal).decode


def find_usage(body: bytes) -> Any:  # noqa: ANN401 - whatever a provider sends
    """The value of `usage` in a JSON object; None if there is none."""
    try:
        return _decode(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _find_leniently(body)


def _find_leniently(body: bytes) -> Any:  # noqa: ANN401 - as above
    # NaN and lone surrogates are invalid JSON, but providers send both.
    try:
        value = json.loads(body, parse_float=parse_decimal, strict=False)
    except (ValueError, RecursionError):
        return None
    return value.get("usage") if isinstance(value, dict) else None
