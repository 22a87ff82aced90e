"""Every store of counters, on a clock that the test moves.

The rule here: a store that is written in STORES is held to the whole contract, and to the model.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from gateway.stores.counters import CounterStore
from gateway.stores.memory_counters import MemoryCounters

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


STORES: dict[str, Callable[[Hand], CounterStore]] = {
    "memory": lambda hand: MemoryCounters(hand.clock, hand.wall),
}


@pytest.fixture
def hand() -> Hand:
    """Both clocks."""
    return Hand()


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, hand: Hand) -> AsyncIterator[CounterStore]:
    """One store after the other."""
    opened = STORES[request.param](hand)
    yield opened
    await opened.close()
