"""What is written into a journal: exchanges, before and after.

The rule here: before it is sent anything an exchange is written as `lost`, which is what it is if
nothing more is heard of it. What is written when it has ended says all, and takes that place.
"""

from typing import Final

import msgspec

from gateway.core.exchange import Outcome
from gateway.ledger.lines import seal
from gateway.stores.ledger import LedgerExchange

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(LedgerExchange).decode


def encode_line(exchange: LedgerExchange) -> bytes:
    """The line of an exchange."""
    return seal(_encode(exchange))


def decode_payload(payload: bytes) -> LedgerExchange | None:
    """The exchange in a payload; None for something that another version wrote."""
    try:
        return _decode(payload)
    except msgspec.MsgspecError:
        return None


def has_ended(exchange: LedgerExchange) -> bool:
    """Whether this is the last word about it."""
    return exchange.outcome is not Outcome.LOST
