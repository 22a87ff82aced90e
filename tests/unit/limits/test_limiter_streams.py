"""Streams that take more as they go, and many at once, over a store that is far away."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from gateway.config.limit_rules import LimitSpec
from gateway.core.cost import make_price
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange, Outcome
from gateway.core.tasks import Tasks
from gateway.core.usage import Usage
from gateway.limits.limiter import Limiter
from gateway.stores.counters import Admission, Charge, Used
from gateway.stores.errors import CountersDownError
from gateway.stores.memory_counters import MemoryCounters
from tests.plugins.counters import Hand
from tests.plugins.purse import ASKED
from tests.unit.limits.test_limiter import SlowCounters

WAIT_S = 5
BUDGET = 10_000  # micros
PRICE = make_price(Decimal(1), Decimal(1))


class LeavingCounters(SlowCounters):
    """A store that is gone from its second request on."""

    admitted = 0

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        self.admitted += 1
        if self.admitted > 1:
            raise CountersDownError(charges[0].rule)
        return await super().admit(hold_id, charges)


class Stream:
    """An answer that is watched."""

    def __init__(self) -> None:
        self.counted: Usage | None = None
        self.tokens_seen = 0
        self.is_complete = False
        self.stopped: list[GatewayError] = []


class Desk:
    """A limiter with one budget of money."""

    def __init__(self, store: SlowCounters, hand: Hand, **rule: Any) -> None:
        self.store = store
        self.crashes: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.crashes.append(error))
        written = {"name": "r", "on": "everything", "money_per_day": "0.01", "stop_streams": True}
        spec = LimitSpec.model_validate({**written, "reserve_output_tokens": 50, **rule})
        self.limiter = Limiter([spec], store, hand.wall, self.tasks)

    def make_exchange(self) -> Exchange:
        """A stream's."""
        exchange = Exchange("r", 1.0, "POST", "/", "unix", (self.limiter.settle,), stream=True)
        exchange.price, exchange.prompt_tokens = PRICE, 100
        return exchange

    async def open_stream(self) -> tuple[Exchange, Stream, Any]:
        """One that was let in: it holds 150 micros, of which its prompt has spent 100."""
        exchange, stream = self.make_exchange(), Stream()
        grant = await self.limiter.admit(exchange, msgspec.structs.replace(ASKED, price=PRICE))
        assert grant.allowance is not None
        grant.allowance.watch(stream, stream.stopped.append)
        return exchange, stream, grant.allowance

    async def left(self) -> int:
        """What the budget has, once nothing is held."""
        assert await self.tasks.wait(WAIT_S)
        assert (self.crashes, self.limiter.held) == ([], 0)
        asked = msgspec.structs.replace(ASKED, price=PRICE, prompt_tokens=1, output_tokens=0)
        exchange = self.make_exchange()
        grant = await self.limiter.admit(exchange, asked)
        exchange.settle(Outcome.REJECTED, at=2.0)
        remaining = int(grant.headers["RateLimit"].split(";r=")[1].split(";")[0])
        return remaining + (grant.refusal is None)  # of which the question has taken one


@pytest.fixture
async def desk(hand: Hand) -> AsyncIterator[Desk]:
    """One with a store of its own."""
    made = Desk(SlowCounters(MemoryCounters(hand.clock, hand.wall)), hand)
    yield made
    await made.tasks.cancel()


@pytest.mark.parametrize("turns", range(6))
async def test_settled_at_every_await_it_holds_nothing(desk: Desk, turns: int) -> None:
    """I05: before, while and after the store gives more."""
    exchange, stream, allowance = await desk.open_stream()
    stream.tokens_seen = 40
    allowance.look()
    for _ in range(turns):
        await asyncio.sleep(0)

    exchange.note_usage(Usage(100, 40, "estimate"))
    exchange.settle(Outcome.CLIENT_GONE, at=2.0)

    assert await desk.left() == BUDGET - 140


@pytest.mark.parametrize("turns", range(6))
async def test_cancelled_at_every_await_it_holds_nothing(desk: Desk, turns: int) -> None:
    """I05: the gateway stops while the store is asked."""
    exchange, stream, allowance = await desk.open_stream()
    stream.tokens_seen = 40
    allowance.look()
    for _ in range(turns):
        await asyncio.sleep(0)
    await desk.tasks.cancel()

    exchange.note_usage(Usage(100, 40, "estimate"))
    exchange.settle(Outcome.POLICY_STOPPED, at=2.0)

    assert await desk.left() == BUDGET - 140


@pytest.mark.parametrize("seed", range(8))
async def test_many_at_once_never_spend_more_than_the_budget(desk: Desk, seed: int) -> None:
    """I01, I05: with callers who leave at any moment; and every micro is accounted for."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    spent: list[int] = []

    async def run_one() -> None:
        exchange, stream = desk.make_exchange(), Stream()
        try:
            grant = await desk.limiter.admit(exchange, msgspec.structs.replace(ASKED, price=PRICE))
            if grant.allowance is None:
                return
            grant.allowance.watch(stream, stream.stopped.append)
            exchange.attempts = 1
            for _ in range(chance.randrange(60)):
                if stream.stopped:
                    break
                stream.tokens_seen += 10
                grant.allowance.look()
                await asyncio.sleep(0)
        finally:
            if exchange.attempts:
                exchange.note_usage(Usage(100, stream.tokens_seen, "estimate"))
                spent.append(100 + stream.tokens_seen)
            exchange.settle(Outcome.FINISHED, at=2.0)

    running = [asyncio.ensure_future(run_one()) for _ in range(120)]
    for task in running:
        if chance.random() < 0.4:
            asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.sleep(0)
    await asyncio.gather(*running, return_exceptions=True)

    # Each stream that is stopped has used at most one piece more than it held, and what came while
    # the store, which takes four turns, was asked.
    assert BUDGET / 2 < sum(spent) <= BUDGET + 5 * 10 * len(spent)
    assert await desk.left() == max(0, BUDGET - sum(spent))


async def test_what_is_let_in_and_keeps_to_its_length_never_makes_a_debt(desk: Desk) -> None:
    """I01: 200 at once that say how long they get; admitted cost is the budget, to the micro."""
    asked = msgspec.structs.replace(ASKED, price=PRICE, output_tokens=25)
    exchanges = [desk.make_exchange() for _ in range(200)]

    grants = await asyncio.gather(*(desk.limiter.admit(one, asked) for one in exchanges))

    admitted = [one for one, grant in zip(exchanges, grants, strict=True) if not grant.refusal]
    assert len(admitted) == BUDGET // 125
    for exchange in exchanges:
        if exchange in admitted:
            exchange.note_usage(Usage(100, 25, "provider"))
        exchange.settle(Outcome.FINISHED, at=2.0)
    assert await desk.left() == 0


async def test_a_store_that_is_gone_ends_what_must_not_go_on_uncounted(hand: Hand) -> None:
    """5.2: once it has used what it had."""
    store = LeavingCounters(MemoryCounters(hand.clock, hand.wall))
    desk = Desk(store, hand, on_store_failure="closed")
    exchange, stream, allowance = await desk.open_stream()

    stream.tokens_seen = 50
    allowance.look()
    await desk.tasks.wait(WAIT_S)
    assert stream.stopped == []
    stream.tokens_seen = 51
    allowance.look()
    await desk.tasks.wait(WAIT_S)

    assert [error.code for error in stream.stopped] == ["limits_unavailable"]
    assert desk.crashes == []
    exchange.settle(Outcome.POLICY_STOPPED, at=2.0)
    store.settle("nobody", Used())
