"""Exchanges as lines."""

import msgspec

from gateway.core.exchange import Outcome
from gateway.ledger.lines import unseal
from gateway.ledger.records import decode_payload, encode_line, has_ended
from tests.plugins.ledgers import begun, new_attempt, new_row


def test_an_exchange_comes_back_as_it_was() -> None:
    """With each of its attempts, and with what nobody knows still unknown."""
    row = new_row(attempts=(new_attempt(1, {}), new_attempt(2)), principal='Zoë "z"\u2028')

    payload = unseal(encode_line(row)[:-1])

    assert payload is not None
    assert decode_payload(payload) == row


def test_what_is_written_before_is_no_last_word() -> None:
    """It becomes one when nothing follows."""
    assert not has_ended(begun(new_row()))
    assert all(has_ended(new_row(outcome=one)) for one in Outcome if one is not Outcome.LOST)


def test_what_cannot_be_understood_is_none() -> None:
    """Whoever reads counts it and keeps it."""
    assert decode_payload(b"{}") is None
    assert decode_payload(b"not json") is None
    assert decode_payload(b'["only an id"]') is None


def test_a_newer_gateway_may_have_more_to_say() -> None:
    """Fields are added at the end, and an older gateway reads those that it knows."""
    fields = [*msgspec.json.decode(msgspec.json.encode(new_row())), "more"]

    assert decode_payload(msgspec.json.encode(fields)) == new_row()
