"""The record of one request, and that it is settled once."""

from decimal import Decimal

from gateway.core.attempts import AttemptRecord
from gateway.core.cost import make_price
from gateway.core.exchange import UNSEEN_TOKENS, Exchange, Outcome
from gateway.core.upstream_errors import UpstreamCutError
from gateway.core.usage import Usage


def make_exchange(*observers) -> Exchange:
    """A new exchange."""
    return Exchange("req-1", 1.0, "POST", "/v1/chat/completions", "127.0.0.1", observers)


def test_the_first_to_settle_decides() -> None:
    """Handler, connection and shutdown may all notice the end; it is booked once."""
    seen: list[tuple[Outcome | None, float]] = []
    exchange = make_exchange(lambda e: seen.append((e.outcome, e.ended_at)))

    first = exchange.settle(Outcome.CLIENT_GONE, at=5.0)
    second = exchange.settle(Outcome.FINISHED, at=6.0)

    assert (first, second) == (True, False)
    assert seen == [(Outcome.CLIENT_GONE, 5.0)]


def test_an_observer_that_settles_again_starts_no_circle() -> None:
    """An observer may not know that it is called from `settle`."""
    seen: list[bool] = []
    exchange = make_exchange(lambda e: seen.append(e.settle(Outcome.FINISHED, at=9.0)))

    exchange.settle(Outcome.REJECTED, at=5.0)

    assert (seen, exchange.outcome, exchange.ended_at) == ([False], Outcome.REJECTED, 5.0)


def test_observers_are_told_in_their_order() -> None:
    """The ledger comes before the log line that says it was written."""
    seen: list[str] = []
    exchange = make_exchange(lambda _: seen.append("first"), lambda _: seen.append("second"))

    exchange.settle(Outcome.FINISHED, at=2.0)

    assert seen == ["first", "second"]


def test_two_exchanges_with_the_same_content_are_two() -> None:
    """Two callers may send the same bytes in the same moment."""
    assert make_exchange() != make_exchange()


def test_every_attempt_that_is_billed_is_counted() -> None:
    """I09: one request, two attempts, both paid for."""
    exchange = make_exchange()
    exchange.price = make_price(Decimal(1), Decimal(2))

    exchange.note_usage(Usage(10, 5, "estimate"))
    exchange.note_usage(Usage(10, 20, "provider"))

    assert exchange.usage == Usage(20, 25, "estimate")
    assert exchange.cost is not None
    assert (exchange.cost.micros, exchange.spent_micros) == (70, 70)


def test_the_provider_knows_best_what_it_charges() -> None:
    """Its word is booked, and ours is kept beside it."""
    exchange = make_exchange()
    exchange.price = make_price(Decimal(1), Decimal(2))

    exchange.note_usage(Usage(10, 5, "estimate"))
    exchange.note_usage(Usage(10, 20, "provider", provider_cost_micros=1_000))

    assert exchange.cost is not None
    assert (exchange.cost.micros, exchange.spent_micros) == (70, 1_020)


def test_without_a_price_a_cost_is_unknown_and_not_zero() -> None:
    """I11: unless the provider says it."""
    exchange = make_exchange()

    exchange.note_usage(Usage(10, 5, "provider"))
    assert (exchange.cost, exchange.spent_micros) == (None, None)

    exchange.note_usage(Usage(10, 5, "provider", provider_cost_micros=9))
    assert (exchange.cost, exchange.spent_micros) == (None, 9)


def test_each_attempt_keeps_what_it_used() -> None:
    """I09: of an exchange that was tried twice both attempts are billed."""
    exchange = make_exchange()
    for number, tokens in ((1, 5), (2, 20)):
        exchange.note_attempt(AttemptRecord(number, "sim", "m", "SIM_API_KEY", float(number)))
        exchange.note_usage(Usage(tokens, 1, "provider"))
        if number == 1:
            exchange.note_failed_attempt(UpstreamCutError("Cut."), at=1.5)

    first, second = exchange.attempt_records
    assert exchange.attempts == 2
    assert (first.usage, second.usage) == (Usage(5, 1, "provider"), Usage(20, 1, "provider"))
    assert (first.error_code, first.ended_at, second.error_code) == ("upstream_cut", 1.5, "")
    assert exchange.usage == Usage(25, 2, "provider")


def test_an_address_of_a_caller_s_uses_up_no_more_than_could_be() -> None:
    """A billion tokens in one answer would be the quota of all others, for days."""
    exchange = make_exchange()
    exchange.note_attempt(AttemptRecord(1, "custom", "m", "models:1", 1.0))
    exchange.is_at_callers_address, exchange.bytes_in = True, 100

    exchange.note_usage(Usage(10**9, 10**9, "provider", 10**9, 5, 10**10))

    most = Usage(100 + UNSEEN_TOKENS, UNSEEN_TOKENS, "provider", None, 5)
    assert exchange.usage == exchange.attempt_records[0].usage == most
    assert exchange.spent_micros is None


def test_an_address_of_a_caller_s_is_believed_what_can_be() -> None:
    """A thought is not in the bytes; who has said nothing has still said nothing."""
    for usage in (Usage(20, 90_000, "provider", 5, 89_000), Usage(None, None, "estimate")):
        exchange = make_exchange()
        exchange.is_at_callers_address = True

        exchange.note_usage(usage)

        assert exchange.usage == usage
