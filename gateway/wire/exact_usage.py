"""The `usage` of a provider's JSON, with its fractions as they are written.

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
    """What stands under `usage` in a JSON object; None when nothing does."""
    try:
        return _decode(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _find_leniently(body)


def _find_leniently(body: bytes) -> Any:  # noqa: ANN401 - as above
    # NaN and half surrogate pairs are no JSON, but providers send both.
    try:
        value = json.loads(body, parse_float=parse_decimal, strict=False)
    except (ValueError, RecursionError):
        return None
    return value.get("usage") if isinstance(value, dict) else None
