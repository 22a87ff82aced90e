"""Exchanges as lines."""

import msgspec

from gateway.core.exchange import Outcome
from gateway.ledger.lines import unseal
from gateway.ledger.records import Begin, decode_payload, encode_line
from tests.plugins.ledgers import begun, new_attempt, new_row


def test_an_exchange_comes_back_as_it_was() -> None:
    """With each of its attempts, and with what nobody knows still unknown."""
    row = new_row(attempts=(new_attempt(1, {}), new_attempt(2)), principal='Zoë "z"\u2028')

    payload = unseal(encode_line(row)[:-1])

    assert payload is not None
    assert decode_payload(payload) == row


def test_a_begin_comes_back_and_is_booked_as_lost() -> None:
    """With what had failed before, and an estimate of what was sent."""
    row = new_row(attempts=(new_attempt(1), new_attempt(2, provider="second")))
    payload = unseal(encode_line(begun(row))[:-1])
    assert payload is not None
    begin = decode_payload(payload)

    assert isinstance(begin, Begin)
    lost = begin.as_lost()

    first, second = lost.attempts
    assert (lost.id, lost.outcome, lost.principal) == (row.id, Outcome.LOST, "alice")
    assert (lost.provider, lost.started_at_ms) == ("sim", row.started_at_ms)
    assert (lost.bytes_in, lost.stream, lost.tenant) == (row.bytes_in, row.stream, row.tenant)
    assert first == row.attempts[0]
    assert (second.number, second.provider, second.outcome) == (2, "second", Outcome.LOST)
    assert (second.tokens_in, second.tokens_out, second.tokens_source) == (50, None, "estimate")
    assert (second.cost_micros, second.price_version) == (7, "prices-1")


def test_what_cannot_be_understood_is_none() -> None:
    """Whoever reads counts it and keeps it."""
    assert decode_payload(b"{}") is None
    assert decode_payload(b"not json") is None
    assert decode_payload(b'["end","only an id"]') is None
    assert decode_payload(b'["middle"]') is None


def test_a_newer_gateway_may_have_more_to_say() -> None:
    """Fields are added at the end, and an older gateway reads those that it knows."""
    for record in (new_row(), begun(new_row())):
        fields = [*msgspec.json.decode(msgspec.json.encode(record)), "more"]
        assert decode_payload(msgspec.json.encode(fields)) == record
