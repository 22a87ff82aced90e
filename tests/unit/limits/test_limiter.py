"""Admitting and settling, over a real store."""

import asyncio
from collections.abc import Collection, Sequence
from decimal import Decimal

import msgspec
import pytest
from typing_extensions import override

from gateway.config.limit_rules import LimitSpec
from gateway.config.registry import Provider
from gateway.core.cost import make_price
from gateway.core.exchange import Exchange, Outcome
from gateway.core.usage import Usage
from gateway.limits.asked import Asked
from gateway.limits.limiter import Grant, Limiter
from gateway.stores.counters import LEASE_S, Admission, Charge, CounterStore, Used
from gateway.stores.errors import CountersDownError
from gateway.stores.memory_counters import MemoryCounters
from tests.plugins.counters import Hand
from tests.plugins.purse import ASKED


class SlowCounters(CounterStore):
    """A store that is far away: every call takes a few turns, before and after it counts."""

    def __init__(self, counters: CounterStore) -> None:
        self.counters = counters

    @override
    async def open(self) -> None:
        await self.counters.open()

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        await asyncio.sleep(0)
        admission = await self.counters.admit(hold_id, charges)
        await asyncio.sleep(0)
        return admission

    @override
    def settle(self, hold_id: str, used: Used) -> None:
        self.counters.settle(hold_id, used)

    @override
    async def renew(self, hold_ids: Collection[str]) -> None:
        await self.counters.renew(hold_ids)

    @override
    async def close(self) -> None:
        await self.counters.close()


def make_limiter(store: CounterStore, hand: Hand, *rules: dict[str, object]) -> Limiter:
    """A limiter with these rules, named r0, r1 and so on."""
    specs = [
        LimitSpec.model_validate({"name": f"r{number}", "on": "principal", **rule})
        for number, rule in enumerate(rules)
    ]
    return Limiter(specs, store, hand.wall)


def make_exchange(limiter: Limiter, request_id: str = "same") -> Exchange:
    """An exchange that tells the limiter how it ends."""
    return Exchange(request_id, 1.0, "POST", "/", "unix", (limiter.settle,), attempts=1)


async def ask(limiter: Limiter, asked: Asked = ASKED) -> tuple[Exchange, Grant]:
    """One request."""
    exchange = make_exchange(limiter)
    return exchange, await limiter.admit(exchange, asked)


def code_of(grant: Grant) -> str | None:
    """Why it was refused."""
    return None if grant.refusal is None else grant.refusal.code


async def test_a_place_is_free_when_the_exchange_is_settled(
    store: CounterStore, hand: Hand
) -> None:
    """I05: however it ends, and once."""
    limiter = make_limiter(store, hand, {"concurrent": 1})
    for outcome in Outcome:
        exchange, grant = await ask(limiter)
        assert code_of(grant) is None
        assert limiter.count_places() == {"r0": 1}
        assert code_of((await ask(limiter))[1]) == "concurrency_exceeded"

        exchange.settle(outcome, at=2.0)
        exchange.settle(outcome, at=3.0)

        assert limiter.count_places() == {"r0": 0}


async def test_what_was_used_is_booked(store: CounterStore, hand: Hand) -> None:
    """I10: also where it was more than was set aside."""
    limiter = make_limiter(store, hand, {"tokens_per_day": 5_000})
    exchange, _ = await ask(limiter)
    exchange.note_usage(Usage(100, 4_500, "provider"))
    exchange.settle(Outcome.FINISHED, at=2.0)

    _, grant = await ask(limiter)

    assert code_of(grant) == "token_quota_exceeded"
    assert grant.headers["RateLimit"].startswith('"r0-day";r=400;')


async def test_money_that_was_spent_is_booked(store: CounterStore, hand: Hand) -> None:
    """I10: whatever was set aside; and the provider's word is booked before ours."""
    limiter = make_limiter(store, hand, {"money_per_day": 1, "tokens_per_day": 10_000})
    exchange, _ = await ask(limiter)
    exchange.price = ASKED.price
    exchange.note_usage(Usage(100, 50, "estimate"))
    exchange.note_usage(Usage(100, 50, "provider", provider_cost_micros=900_000))
    exchange.settle(Outcome.FINISHED, at=2.0)

    _, grant = await ask(limiter)

    assert code_of(grant) is None
    # 0.90105 dollars and 300 tokens, and what this one sets aside: 100 and 1024 tokens.
    assert grant.headers["RateLimit"].startswith('"r0-day";r=8576;')
    assert '"r0-money-day";r=83290;' in grant.headers["RateLimit"]


@pytest.mark.parametrize(
    ("rule", "code", "would_refuse"),
    [
        ({}, "model_unpriced", ()),
        ({"dry_run": True}, None, ("r0",)),
        ({"unpriced": "allow"}, None, ()),
    ],
)
async def test_a_model_without_a_price_is_refused_where_money_counts(
    store: CounterStore,
    hand: Hand,
    rule: dict[str, object],
    code: str | None,
    would_refuse: tuple[str, ...],
) -> None:
    """I11: never free by having no price, unless the rule says so."""
    limiter = make_limiter(store, hand, {"money_per_day": 1, **rule})

    exchange, grant = await ask(limiter, msgspec.structs.replace(ASKED, price=None))

    assert (code_of(grant), exchange.would_refuse) == (code, would_refuse)


async def test_what_does_not_count_is_not_in_the_headers(store: CounterStore, hand: Hand) -> None:
    """A free model uses no money; the numbers of the other rule stay with its name."""
    limiter = make_limiter(store, hand, {"money_per_day": 1}, {"requests_per_minute": 6})
    free = msgspec.structs.replace(ASKED, price=make_price(Decimal(0), Decimal(0)))

    first, second = [
        (await ask(limiter, asked))[1].headers["RateLimit"].split(", ") for asked in (ASKED, free)
    ]

    assert (len(first), len(second)) == (2, 1)
    assert first[1].startswith('"r1-requests";r=5;')
    assert second[0].startswith('"r1-requests";r=4;')


async def test_two_requests_with_one_id_are_two(store: CounterStore, hand: Hand) -> None:
    """I06: the id is the caller's to choose; the second would be free."""
    limiter = make_limiter(store, hand, {"concurrent": 2})

    grants = [(await ask(limiter))[1] for _ in range(3)]

    assert [code_of(grant) for grant in grants] == [None, None, "concurrency_exceeded"]


async def test_an_exchange_is_let_in_once(store: CounterStore, hand: Hand) -> None:
    """I05: a middleware that asks a second time must not leave a place behind."""
    limiter = make_limiter(store, hand, {"concurrent": 1})
    exchange, _ = await ask(limiter)

    again = await limiter.admit(exchange, ASKED)

    assert code_of(again) is None
    exchange.settle(Outcome.FINISHED, at=2.0)
    assert code_of((await ask(limiter))[1]) is None


@pytest.mark.parametrize("turns", range(5))
async def test_cancelled_at_every_await_it_is_settled_all_the_same(hand: Hand, turns: int) -> None:
    """I05: before, while and after the store counts."""
    limiter = make_limiter(
        SlowCounters(MemoryCounters(hand.clock, hand.wall)),
        hand,
        {"concurrent": 1, "tokens_per_day": 2_000},
    )
    exchange = make_exchange(limiter)
    task = asyncio.ensure_future(limiter.admit(exchange, ASKED))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    exchange.attempts = 0
    exchange.settle(Outcome.CLIENT_GONE, at=2.0)

    _, grant = await ask(limiter, msgspec.structs.replace(ASKED, output_tokens=1_900))
    assert code_of(grant) is None
    assert limiter.count_places() == {"r0": 1}


async def test_of_several_refusals_the_longest_wait_is_told(
    store: CounterStore, hand: Hand
) -> None:
    """I16: who waits for the shorter one is refused again."""
    limiter = make_limiter(store, hand, {"requests_per_minute": 1}, {"concurrent": 1})
    await ask(limiter)

    exchange, grant = await ask(limiter)

    assert grant.refusal is not None
    assert grant.refusal.headers["Retry-After"] == "60"
    assert exchange.refused_by == "r0"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"max_body_bytes": 399}, "body_limit_exceeded"),
        ({"max_output_tokens": 49}, "output_limit_exceeded"),
        ({"tokens_per_minute": 149}, "request_never_fits"),
        ({"tokens_per_month": 149}, "request_never_fits"),
        ({"money_per_month": "0.001"}, "request_never_fits"),
    ],
)
async def test_what_is_too_large_is_refused_before_anything_is_counted(
    store: CounterStore, hand: Hand, rule: dict[str, object], code: str
) -> None:
    """I15, I03: waiting does not help, and nothing is taken."""
    limiter = make_limiter(store, hand, {"concurrent": 1}, rule)
    asked = msgspec.structs.replace(ASKED, output_tokens=50, asked_output_tokens=50)

    exchange, grant = await ask(limiter, asked)

    assert (code_of(grant), exchange.refused_by) == (code, "r1")
    assert limiter.count_places() == {"r0": 0}


async def test_what_is_just_small_enough_is_let_in(store: CounterStore, hand: Hand) -> None:
    """A limit is the most that is allowed."""
    asked = msgspec.structs.replace(ASKED, output_tokens=50, asked_output_tokens=50)

    for rule in ({"max_body_bytes": 400}, {"max_output_tokens": 50}, {"max_output_tokens": 51}):
        _, grant = await ask(make_limiter(store, hand, rule), asked)

        assert code_of(grant) is None, rule


async def test_what_is_too_long_is_said_of_the_field_that_the_caller_has_written(
    store: CounterStore, hand: Hand
) -> None:
    """Newer SDKs write `max_completion_tokens`, and have no `max_tokens` to lower."""
    newer = msgspec.structs.replace(
        ASKED, output_tokens=50, asked_output_tokens=50, output_field="max_completion_tokens"
    )

    for rule in ({"max_output_tokens": 49}, {"tokens_per_day": 149}, {"money_per_day": "0.001"}):
        _, grant = await ask(make_limiter(store, hand, rule), newer)

        assert grant.refusal is not None
        assert "lower `max_completion_tokens`" in grant.refusal.public, rule


async def test_a_rule_that_is_tried_out_lets_through_and_says_so(
    store: CounterStore, hand: Hand
) -> None:
    """What it would refuse is written down by its name, once."""
    tried = {"dry_run": True, "requests_per_minute": 1, "concurrent": 1}
    sizes = {"dry_run": True, "max_body_bytes": 1, "max_output_tokens": 5}
    limiter = make_limiter(store, hand, tried, sizes)
    await ask(limiter)

    exchange, grant = await ask(limiter)

    assert (grant.refusal, grant.output_cap, grant.headers) == (None, None, {})
    assert (exchange.would_refuse, exchange.refused_by) == (("r1", "r0"), "")


async def test_the_shortest_answer_that_a_rule_allows_is_asked_for(
    store: CounterStore, hand: Hand
) -> None:
    """And no more than it is set aside."""
    rules = ({"max_output_tokens": 500}, {"max_output_tokens": 300, "tokens_per_day": 1_000})
    limiter = make_limiter(store, hand, *rules)

    _, grant = await ask(limiter)

    assert grant.output_cap == 300
    assert grant.headers["RateLimit"].startswith('"r1-day";r=600;')


async def test_what_a_caller_asks_for_is_set_aside_whatever_the_registry_knows(
    store: CounterStore, hand: Hand
) -> None:
    """It goes to the provider as it came, which may have a newer model than the registry."""
    limiter = make_limiter(store, hand, {"max_output_tokens": 500, "tokens_per_day": 1_000})
    provider = Provider(name="groq", base_url="https://llm.example.org/v1", max_output=30)

    asked = {"asked_of": provider, "output_tokens": 400, "asked_output_tokens": 400}
    _, grant = await ask(limiter, msgspec.structs.replace(ASKED, **asked))

    assert grant.headers["RateLimit"].startswith('"r0-day";r=500;')


async def test_what_is_in_flight_is_renewed(store: CounterStore, hand: Hand) -> None:
    """I04: a long answer keeps its place."""
    limiter = make_limiter(store, hand, {"concurrent": 1})
    await ask(limiter)

    for _ in range(9):
        hand.advance(LEASE_S / 3)
        await limiter.renew()

    assert code_of((await ask(limiter))[1]) == "concurrency_exceeded"


async def test_a_request_that_no_rule_is_for_is_not_counted(
    store: CounterStore, hand: Hand
) -> None:
    """And is told nothing of rules."""
    limiter = make_limiter(store, hand, {"match": {"principal": "bob"}, "concurrent": 1})

    _, grant = await ask(limiter)

    assert grant == Grant({})


class DownCounters(MemoryCounters):
    """A store that is gone, and a rule that lets nobody in without."""

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        raise CountersDownError(charges[-1].rule)


async def test_a_rule_that_is_closed_refuses_while_the_store_is_gone(hand: Hand) -> None:
    """5.2: with its name, and without a hold that nobody would settle."""
    limiter = make_limiter(
        DownCounters(), hand, {"concurrent": 1}, {"concurrent": 2, "on_store_failure": "closed"}
    )

    exchange, grant = await ask(limiter)

    assert code_of(grant) == "limits_unavailable"
    assert (exchange.refused_by, limiter.held) == ("r1", 0)
