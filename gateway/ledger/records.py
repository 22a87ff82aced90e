"""The records in a journal: one before each attempt of an exchange, and one when it has ended.

The rule here: an `End` is complete by itself and needs no earlier record. A `Begin` without an
`End` is an exchange whose end nobody saw.
"""

from typing import Final

import msgspec

from gateway.core.exchange import Outcome
from gateway.ledger.lines import seal
from gateway.stores.ledger import LedgerAttempt, LedgerExchange

End = LedgerExchange


class Begin(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="begin"):
    """An exchange whose next attempt is about to begin. New fields go to the end."""

    id: str
    request_id: str
    principal: str
    principal_kind: str
    tenant: str
    dialect: str
    provider: str  # the one that the caller asked for
    model: str
    attempt_provider: str  # the one about to be tried
    attempt_model: str
    credential_id: str
    stream: bool
    bytes_in: int
    started_at_ms: int
    attempt_at_ms: int
    prompt_tokens: int  # estimated
    cost_micros: int | None  # the cost of the prompt tokens
    price_version: str | None
    earlier: tuple[LedgerAttempt, ...] = ()  # attempts that have already failed

    def as_lost(self) -> LedgerExchange:
        """The row to book if the end never comes.

        The provider is assumed to have read the prompt; nobody can know what it answered.
        """
        lost = LedgerAttempt(
            number=len(self.earlier) + 1,
            provider=self.attempt_provider,
            model=self.attempt_model,
            credential_id=self.credential_id,
            started_at_ms=self.attempt_at_ms,
            duration_ms=0,
            outcome=Outcome.LOST,
            tokens_in=self.prompt_tokens,
            tokens_source="estimate",
            cost_micros=self.cost_micros,
            price_version=self.price_version,
        )
        return LedgerExchange(
            id=self.id,
            request_id=self.request_id,
            principal=self.principal,
            principal_kind=self.principal_kind,
            tenant=self.tenant,
            dialect=self.dialect,
            provider=self.provider,
            model=self.model,
            started_at_ms=self.started_at_ms,
            duration_ms=0,
            outcome=Outcome.LOST,
            stream=self.stream,
            bytes_in=self.bytes_in,
            attempts=(*self.earlier, lost),
        )


Record = Begin | End

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Record).decode


def encode_line(record: Record) -> bytes:
    """The line of a record."""
    return seal(_encode(record))


def decode_payload(payload: bytes) -> Record | None:
    """The record in a payload; None if another version wrote it."""
    try:
        record: Record = _decode(payload)
    except msgspec.MsgspecError:
        return None
    return record
