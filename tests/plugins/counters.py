"""Every store of counters, on a clock that the test moves.

The rule here: a store that is written in STORES is held to the whole contract, and to the model.
Redis has one clock, its own; here it is given the time of day.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from gateway.stores.counters import CounterStore
from gateway.stores.memory_counters import MemoryCounters
from gateway.stores.redis_counters import RedisCounters
from tests.plugins.redis_server import RedisServer

MIDNIGHT = 1_780_272_000.0  # 2026-06-01 00:00 UTC


@dataclass
class Hand:
    """The hand of both clocks of a store."""

    now: float = 1_000.0
    wall_ahead: float = MIDNIGHT - 1_000.0

    def clock(self) -> float:
        """What the clock that only goes forward says."""
        return self.now

    def wall(self) -> float:
        """What the time of day is."""
        return self.now + self.wall_ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


PATIENCE_S = 10.0  # with a server that shares its processor with the rest of the suite

MakeStore = Callable[[Hand], CounterStore]

STORES = {"memory": None, "valkey": "valkey", "redis": "debian_redis"}
"""Each store, and the fixture of the server that it needs."""


@pytest.fixture
def hand() -> Hand:
    """Both clocks."""
    return Hand()


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    """One kind of store after the other; each one that is made is empty."""
    fixture = STORES[request.param]
    if fixture is None:
        return lambda hand: MemoryCounters(hand.clock, hand.wall)
    server: RedisServer = request.getfixturevalue(fixture)

    def make(hand: Hand) -> CounterStore:
        server.run("FLUSHALL")
        return RedisCounters(server.address, hand.wall, timeout_s=PATIENCE_S)

    return make


@pytest.fixture
async def store(make_store: MakeStore, hand: Hand) -> AsyncIterator[CounterStore]:
    """One store after the other."""
    opened = make_store(hand)
    yield opened
    await opened.close()
