"""Budgets and the streams that they end, against a model of thirty lines, over every store.

The rule here: the model asks nobody and waits for nothing; a stream has what it holds, and takes
more of what nobody holds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.config.limit_rules import LimitSpec
from gateway.core.cost import make_price
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange, Outcome
from gateway.core.tasks import Tasks
from gateway.core.usage import Usage
from gateway.limits.allowance import AHEAD_TOKENS
from gateway.limits.limiter import Limiter
from gateway.stores.memory_counters import MemoryCounters
from tests.plugins.counters import MIDNIGHT, Hand, MakeStore
from tests.plugins.purse import ASKED

BUDGET = 3_000  # micros of a dollar
PER_TOKEN = 2  # micros, in and out
RESERVED_TOKENS = 100
STEP, AHEAD = RESERVED_TOKENS * PER_TOKEN, AHEAD_TOKENS * PER_TOKEN
DAY_S = 86_400.0


@dataclass
class Stream:
    """What one stream holds and has spent, in micros."""

    held: int
    spent: int
    step: int = STEP
    has_all: bool = False


@dataclass
class Model:
    """One budget of one day."""

    booked: int = 0
    streams: dict[int, Stream] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """What nobody has spent or holds."""
        return BUDGET - self.booked - sum(stream.held for stream in self.streams.values())

    def admit(self, number: int, prompt: int, guess: int) -> bool:
        """Take the guess, or refuse."""
        if self.left < guess:
            return False
        self.streams[number] = Stream(guess, prompt)
        return True

    def grow(self, number: int, micros: int) -> bool:
        """Spend, and take more in time; False when there is nothing to take."""
        one = self.streams[number]
        one.spent += micros
        while one.spent > one.held - AHEAD and not one.has_all:
            need = max(1, one.spent - one.held)
            wanted = max(one.step, need)
            if wanted <= self.left:
                one.held += wanted
            elif max(need, AHEAD) <= self.left:
                one.step = self.left
            else:
                one.has_all = True
        return one.spent <= one.held

    def settle(self, number: int, micros: int) -> None:
        """Book what it came to."""
        del self.streams[number]
        self.booked += micros


@dataclass
class Running:
    """A stream of the limiter."""

    exchange: Exchange
    prompt: int
    counted: Usage | None = None
    tokens_seen: int = 0
    is_complete: bool = False
    stopped: list[GatewayError] = field(default_factory=list)
    look: Callable[[], None] = bool


class StreamsMachine(RuleBasedStateMachine):
    """Does the same to a limiter and to the model."""

    make_store: MakeStore

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.hand = Hand(now=0.0, wall_ahead=MIDNIGHT)
        self.store = self.make_store(self.hand)
        self.crashes: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.crashes.append(error))
        spec = LimitSpec(
            name="r",
            on="everything",
            money_per_day=Decimal("0.003"),
            reserve_output_tokens=RESERVED_TOKENS,
            stop_streams=True,
        )
        self.limiter = Limiter([spec], self.store, self.hand.wall, self.tasks)
        self.model = Model()
        self.running: dict[int, Running] = {}
        self.count = 0

    @rule(prompt=st.integers(1, 300))
    def admit(self, prompt: int) -> None:
        """Another stream."""
        self.count += 1
        price = make_price(Decimal(PER_TOKEN), Decimal(PER_TOKEN))
        exchange = Exchange("r", 1.0, "POST", "/", "unix", (self.limiter.settle,), stream=True)
        exchange.price, exchange.prompt_tokens = price, prompt
        asked = msgspec.structs.replace(ASKED, prompt_tokens=prompt, price=price)

        grant = self.loop.run_until_complete(self.limiter.admit(exchange, asked))

        guess = (prompt + RESERVED_TOKENS) * PER_TOKEN
        assert (grant.refusal is None) == self.model.admit(self.count, prompt * PER_TOKEN, guess)
        assert f";r={max(0, self.model.left)};" in grant.headers["RateLimit"]
        if grant.allowance is not None:
            running = self.running[self.count] = Running(exchange, prompt)
            grant.allowance.watch(running, running.stopped.append)
            running.look = grant.allowance.look

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 100), tokens=st.integers(1, 200))
    def grow(self, pick: int, tokens: int) -> None:
        """More of some answer has come."""
        number = sorted(self.running)[pick % len(self.running)]
        running = self.running[number]
        running.tokens_seen += tokens

        self.loop.run_until_complete(self.show(running))

        goes_on = self.model.grow(number, tokens * PER_TOKEN)
        assert (running.stopped == []) == goes_on
        if not goes_on:
            assert [error.code for error in running.stopped] == ["budget_exceeded"]
            self.settle(number, charged=None)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 100), charged=st.none() | st.integers(0, 2_000))
    def end(self, pick: int, charged: int | None) -> None:
        """Some exchange is settled, with what the provider says it charges or without; twice."""
        self.settle(sorted(self.running)[pick % len(self.running)], charged)

    async def show(self, running: Running) -> None:
        """Let the limiter see what has come, and wait until it has asked its store."""
        running.look()
        await self.tasks.wait(5)

    def settle(self, number: int, charged: int | None) -> None:
        """What `end` does."""
        running = self.running.pop(number)
        usage = Usage(running.prompt, running.tokens_seen, "provider")
        usage = msgspec.structs.replace(usage, provider_cost_micros=charged)
        running.exchange.note_usage(usage)

        running.exchange.settle(Outcome.FINISHED, at=2.0)
        running.exchange.settle(Outcome.CLIENT_GONE, at=3.0)

        spent = usage.tokens * PER_TOKEN if charged is None else charged
        self.model.settle(number, spent)

    @precondition(lambda self: not self.running)
    @rule()
    def begin_another_day(self) -> None:
        """What was spent is over."""
        self.hand.advance(DAY_S)
        self.model.booked = 0

    @invariant()
    def nothing_is_held_but_by_streams(self) -> None:
        """And nothing has crashed beside it."""
        assert self.limiter.held == len(self.running)
        assert self.crashes == []

    def teardown(self) -> None:
        """Let go of the store."""
        self.loop.run_until_complete(self.store.close())
        self.loop.close()


def test_streams_end_when_the_model_says_so(make_store: MakeStore) -> None:
    """I01, I06, I10, I17: orders of events that nobody would think of."""
    machine = type("Machine", (StreamsMachine,), {"make_store": staticmethod(make_store)})
    # Each step on a server is several round trips, and a cost of the suite.
    examples = 100 if isinstance(make_store(Hand()), MemoryCounters) else 20

    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=examples, stateful_step_count=40)
    )
