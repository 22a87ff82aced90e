"""Every store of counters against a model of thirty lines, in whatever order things happen.

The rule here: the model has levels where a store may have anything else, and numbers are such
that floats hold them exactly.
"""

import asyncio
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gateway.stores.counters import LEASE_S, Charge, CounterKind, Used
from gateway.stores.memory_counters import MemoryCounters
from tests.plugins.counters import MIDNIGHT, Hand, MakeStore

WINDOW_S = 64.0
CAPACITY = {
    CounterKind.REQUESTS: 4,
    CounterKind.TOKENS: 100,
    CounterKind.PLACES: 3,
    CounterKind.QUOTA: 300,
    CounterKind.MONEY: 400,
}
PER_S = {CounterKind.REQUESTS: 0.5, CounterKind.TOKENS: 4.0}
SETTLED = (CounterKind.TOKENS, CounterKind.QUOTA, CounterKind.MONEY)
OF_A_WINDOW = (CounterKind.QUOTA, CounterKind.MONEY)


@dataclass
class Model:
    """What is used and set aside of each counter, and by whom."""

    used: dict[CounterKind, float] = field(default_factory=lambda: dict.fromkeys(CounterKind, 0.0))
    held: dict[str, dict[CounterKind, int]] = field(default_factory=dict)
    lapsed: dict[str, dict[CounterKind, int]] = field(default_factory=dict)
    expires_in: dict[str, float] = field(default_factory=dict)

    def advance(self, seconds: float) -> None:
        """Let what was used come back."""
        for kind, per_s in PER_S.items():
            self.used[kind] = max(0.0, self.used[kind] - seconds * per_s)
        for hold_id in self.expires_in:
            self.expires_in[hold_id] -= seconds

    def remaining(self, kind: CounterKind) -> float:
        """What is left of a counter."""
        return CAPACITY[kind] - self.used[kind] - sum(h.get(kind, 0) for h in self.held.values())

    def reap(self) -> None:
        """Let go of what nobody has renewed: it counts as used."""
        for hold_id in [i for i in self.held if self.expires_in[i] <= 0]:
            self.lapsed[hold_id] = self.held[hold_id]
            self.book(self.held.pop(hold_id))

    def book(self, amounts: dict[CounterKind, int]) -> None:
        """Count tokens and money as used."""
        for kind, amount in amounts.items():
            if kind in SETTLED:
                self.used[kind] += amount

    def admit(self, hold_id: str, costs: dict[CounterKind, int]) -> bool:
        """Take all or nothing."""
        if any(self.remaining(kind) < cost for kind, cost in costs.items()):
            return False
        self.used[CounterKind.REQUESTS] += costs.get(CounterKind.REQUESTS, 0)
        self.held[hold_id] = {k: c for k, c in costs.items() if k is not CounterKind.REQUESTS}
        self.expires_in[hold_id] = LEASE_S
        return True

    def settle(self, hold_id: str, used: Used) -> None:
        """Book what was used in place of what was set aside, once."""
        if hold_id in self.held:
            self.book({k: used.amount(k) for k in self.held.pop(hold_id)})
        elif hold_id in self.lapsed:
            lapsed = self.lapsed.pop(hold_id).items()
            self.book({k: max(0, used.amount(k) - c) for k, c in lapsed})


class CountersMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model."""

    make_store: MakeStore

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.hand = Hand(now=0.0, wall_ahead=MIDNIGHT)
        self.store = type(self).make_store(self.hand)
        self.model = Model()
        self.windows = dict.fromkeys(OF_A_WINDOW, 0.0)
        self.count = 0

    @rule(
        kinds=st.sets(st.sampled_from(list(CounterKind)), min_size=1),
        cost=st.integers(1, 120),
    )
    def admit(self, kinds: set[CounterKind], cost: int) -> None:
        """Ask for some of the counters."""
        self.count += 1
        hold_id = str(self.count)
        costs = {kind: cost if kind in SETTLED else 1 for kind in CounterKind if kind in kinds}
        self.model.reap()
        for kind in kinds.intersection(OF_A_WINDOW):
            self._begin_window(kind)
        charges = [self._charge(kind, amount) for kind, amount in costs.items()]

        admission = self.loop.run_until_complete(self.store.admit(hold_id, charges))

        assert admission.is_admitted == self.model.admit(hold_id, costs)
        remaining = [max(0, int(self.model.remaining(kind))) for kind in costs]
        assert [standing.remaining for standing in admission.standings] == remaining

    @rule(number=st.integers(1, 20), tokens=st.integers(0, 150), micros=st.integers(0, 150))
    def settle(self, number: int, tokens: int, micros: int) -> None:
        """Settle what is held, what lapsed, what is settled already, or nobody."""
        hold_id, used = str(max(0, self.count - number)), Used(tokens, micros)

        self.store.settle(hold_id, used)

        # What comes late counts in the window that is now.
        for kind, cost in self.model.lapsed.get(hold_id, {}).items():
            if kind in OF_A_WINDOW and used.amount(kind) > cost:
                self._begin_window(kind)
        self.model.settle(hold_id, used)

    @rule(quarters=st.integers(1, 80))
    def advance(self, quarters: int) -> None:
        """Let time pass."""
        self.hand.advance(quarters / 4)
        self.model.advance(quarters / 4)

    @rule(numbers=st.sets(st.integers(1, 20)))
    def renew(self, numbers: set[int]) -> None:
        """Renew some holds, and some that are none."""
        hold_ids = [str(self.count - number) for number in numbers]

        self.loop.run_until_complete(self.store.renew(hold_ids))

        for hold_id in hold_ids:
            if hold_id in self.model.held:
                self.model.expires_in[hold_id] = LEASE_S
        self.model.reap()

    @invariant()
    def nothing_is_held_twice(self) -> None:
        """The model is no use when it is wrong."""
        assert not self.model.held.keys() & self.model.lapsed.keys()

    def teardown(self) -> None:
        """Let go of the store."""
        self.loop.run_until_complete(self.store.close())
        self.loop.close()

    def _begin_window(self, kind: CounterKind) -> None:
        if self.windows[kind] != self._window_start():
            self.windows[kind] = self._window_start()
            self.model.used[kind] = 0

    def _window_start(self) -> float:
        return MIDNIGHT + self.hand.now // WINDOW_S * WINDOW_S

    def _charge(self, kind: CounterKind, cost: int) -> Charge:
        begin = self._window_start()
        return Charge(
            kind.value,
            kind,
            CAPACITY[kind],
            cost,
            per_s=PER_S.get(kind, 0.0),
            starts_at=begin,
            ends_at=begin + WINDOW_S,
        )


def test_a_store_does_what_the_model_does(make_store: MakeStore) -> None:
    """Orders of events that nobody would think of, in groups I and J of the faults."""
    machine = type("Machine", (CountersMachine,), {"make_store": staticmethod(make_store)})
    # Each step on a server is a round trip, and a cost of the suite.
    examples = 200 if isinstance(make_store(Hand()), MemoryCounters) else 50

    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=examples, stateful_step_count=40)
    )


def test_the_model_knows_every_kind() -> None:
    """A kind that only one of the stores can count would be found by the first who writes it."""
    assert set(CAPACITY) == set(CounterKind)
