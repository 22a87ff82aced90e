"""From an exchange to what is booked of it."""

import msgspec
import pytest

from gateway.core.attempts import AttemptRecord
from gateway.core.exchange import Outcome
from gateway.core.upstream_errors import UpstreamCutError
from gateway.core.usage import Usage
from gateway.ledger.rows import Started, begin_of, end_of
from tests.plugins.bookings import PRICE, new_exchange
from tests.plugins.ledgers import NOON_MS

STARTED = Started("p-1", NOON_MS, 100.0)


def new_record(number: int = 1, started_at: float = 100.25) -> AttemptRecord:
    """An attempt that begins."""
    return AttemptRecord(number, "sim", "m", "SIM_API_KEY", started_at)


def test_before_an_attempt_the_prompt_is_taken_for_read() -> None:
    """If nothing more is heard, that is what is known: an estimate, and no guess at an answer."""
    row = begin_of(new_exchange(), STARTED, new_record()).as_lost()

    (attempt,) = row.attempts
    assert (row.id, row.outcome, row.principal, row.tenant) == ("p-1", "lost", "alice", "acme")
    assert (attempt.outcome, attempt.started_at_ms) == ("lost", NOON_MS + 250)
    assert (attempt.tokens_in, attempt.tokens_out, attempt.tokens_source) == (50, None, "estimate")
    assert PRICE is not None
    assert (attempt.cost_micros, attempt.price_version) == (100, PRICE.version)


def test_without_a_price_there_is_no_cost() -> None:
    """I11: never nothing."""
    exchange = new_exchange(price=None)
    before = begin_of(exchange, STARTED, new_record()).as_lost()
    exchange.note_attempt(new_record())
    exchange.note_usage(Usage(10, 20, "provider"))
    exchange.settle(Outcome.FINISHED, at=101.0)
    after = end_of(exchange, STARTED)

    assert [row.attempts[0].cost_micros for row in (before, after)] == [None, None]
    assert [row.attempts[0].price_version for row in (before, after)] == [None, None]


def test_what_has_ended_is_booked_with_all_that_is_known() -> None:
    """Times of a clock that only goes forward, and the provider's own price beside ours."""
    exchange = new_exchange(first_content_at=100.5, bytes_out=3000, status=200)
    record = new_record()
    exchange.note_attempt(record)
    exchange.note_usage(Usage(10, 20, "provider", 4, 7, 999))
    record.ended_at, record.status, record.upstream_request_id = 101.25, 200, "up-1"
    exchange.settle(Outcome.FINISHED, at=101.5)

    row = end_of(exchange, STARTED)

    (attempt,) = row.attempts
    assert (row.outcome, row.status, row.stream) == ("finished", 200, True)
    assert (row.duration_ms, row.first_content_ms, row.bytes_out) == (1500, 500, 3000)
    assert (attempt.outcome, attempt.status, attempt.duration_ms) == ("finished", 200, 1000)
    assert (attempt.tokens_cached, attempt.tokens_reasoning) == (4, 7)
    assert (attempt.cost_micros, attempt.provider_cost_micros) == (180, 999)
    assert (attempt.credential_id, attempt.upstream_request_id) == ("SIM_API_KEY", "up-1")


def test_an_attempt_that_failed_says_so_beside_one_that_did_not() -> None:
    """I09: two attempts, one exchange."""
    exchange = new_exchange()
    exchange.note_attempt(new_record(1))
    exchange.note_usage(Usage(5, 1, "provider"))
    exchange.note_failed_attempt(UpstreamCutError("Cut."), at=100.75)
    before = begin_of(exchange, STARTED, new_record(2, 101.0)).as_lost()
    exchange.note_attempt(new_record(2, 101.0))
    exchange.note_usage(Usage(10, 20, "provider"))
    exchange.settle(Outcome.FINISHED, at=102.0)
    after = end_of(exchange, STARTED)

    assert [one.outcome for one in before.attempts] == ["upstream_failed", "lost"]
    assert [one.outcome for one in after.attempts] == ["upstream_failed", "finished"]
    assert [one.error_code for one in after.attempts] == ["upstream_cut", ""]
    assert [one.tokens_in for one in after.attempts] == [5, 10]
    assert after.attempts[0] == before.attempts[0]


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.LOST])
def test_an_attempt_without_an_error_of_its_own_ended_as_its_exchange(outcome: Outcome) -> None:
    """A caller who left ends both."""
    exchange = new_exchange()
    exchange.note_attempt(new_record())
    exchange.settle(outcome, at=101.0)

    row = end_of(exchange, STARTED)

    assert (row.outcome, row.attempts[0].outcome) == (outcome, outcome)
    assert row.attempts[0].tokens_in is None


def test_nothing_of_the_prompt_is_in_a_row() -> None:
    """Nor a path, an address or an error's text: only what stands in the docs."""
    exchange = new_exchange(error_detail="canary", path="/canary", client_address="canary")
    exchange.labels["a"] = "canary"
    exchange.settle(Outcome.FINISHED, at=101.0)

    assert b"canary" not in msgspec.json.encode(end_of(exchange, STARTED))
