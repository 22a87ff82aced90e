"""A pool against a model of thirty lines, in whatever order things happen.

The rule here: the model knows no trials and no models of a provider; it says who may be taken.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gateway.credentials.slot import Slot
from gateway.credentials.verdict import SET_ASIDE_S, SPENT_S
from tests.unit.credentials.conftest import Bench, answer

COUNT = 3


@dataclass
class Model:
    """Since when nobody may be sent to a credential, and how many are there."""

    now: float = 1000.0
    load: list[int] = field(default_factory=lambda: [0] * COUNT)
    used: list[int] = field(default_factory=lambda: [0] * COUNT)
    rests: list[float] = field(default_factory=lambda: [0.0] * COUNT)
    is_out: list[bool] = field(default_factory=lambda: [False] * COUNT)  # spent or set aside

    def works(self, number: int) -> bool:
        """Whether it may be taken as one that works."""
        return not self.is_out[number] and self.rests[number] <= self.now

    def best(self) -> int | None:
        """The one to take, None when none works."""
        working = [number for number in range(COUNT) if self.works(number)]
        return min(working, key=lambda n: (self.load[n], self.used[n]), default=None)

    def fail(self, number: int, status: int, seconds: float) -> None:
        """It was refused, or asked to wait."""
        if status in (401, 402):
            self.is_out[number] = True
        elif not self.is_out[number]:
            at = self.now + seconds
            self.rests[number] = max(at, self.rests[number])


class PoolMachine(RuleBasedStateMachine):
    """Does the same to a pool and to the model, within the time in which nothing is tried again."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(COUNT)
        self.model = Model()
        self.taken: list[tuple[int, Slot, int]] = []
        self.requests = 0
        self.left_s = min(SPENT_S, 29.0)  # before anybody tries what does not work

    @rule()
    def take(self) -> None:
        """A request comes."""
        self.requests += 1
        expected = self.model.best()

        slot = self.bench.take(self.requests)

        if expected is None:
            assert slot is None
            return
        assert slot is self.bench.pool.slots[expected]
        self.model.load[expected] += 1
        self.model.used[expected] = self.requests
        self.taken.append((expected, slot, self.requests))

    @rule(place=st.integers(0, 9))
    def end(self, place: int) -> None:
        """A request ends well, having proved nothing about what was found out since it began."""
        if self.taken:
            number, slot, who = self.taken.pop(place % len(self.taken))
            self.bench.pool.note_success(slot, who)
            slot.give_back(who)
            self.model.load[number] -= 1

    @rule(
        place=st.integers(0, 9),
        status=st.sampled_from([401, 402, 404, 429, 429, 429, 500]),
        seconds=st.integers(0, 8),
    )
    def fail(self, place: int, status: int, seconds: int) -> None:
        """A request in flight gets a bad answer."""
        if self.taken:
            number, slot, who = self.taken[place % len(self.taken)]
            error = answer(status, retry_after=str(seconds))
            self.bench.pool.note_failure(slot, who, "m", error)
            if status in (401, 402, 429):
                self.model.fail(number, status, seconds)

    @rule(seconds=st.integers(1, 5))
    def advance(self, seconds: int) -> None:
        """Let time pass, but not so much that something is tried again."""
        if seconds < self.left_s:
            self.left_s -= seconds
            self.bench.hand.now += seconds
            self.model.now += seconds

    @invariant()
    def loads_are_those_of_the_model(self) -> None:
        """What is not given back would never be taken again."""
        assert [slot.in_flight for slot in self.bench.pool.slots] == self.model.load

    @invariant()
    def the_wait_is_true(self) -> None:
        """Who waits as long is served, and nobody waits while something works."""
        wait_s = self.bench.pool.wait_s("m")
        rests = [
            max(until - self.model.now, 0.0)
            for until, is_out in zip(self.model.rests, self.model.is_out, strict=True)
            if not is_out
        ]
        if rests:
            assert wait_s == min(rests)
        else:
            assert wait_s > self.left_s


def test_a_pool_does_what_the_model_does() -> None:
    """I01, I05 for credentials: orders of events that nobody would think of."""
    run_state_machine_as_test(
        PoolMachine, settings=settings(deadline=None, max_examples=150, stateful_step_count=40)
    )


CHAOS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),  # the model that is asked for
        st.sampled_from([200, 401, 402, 429, 500]),  # what the provider answers
        st.floats(0.0, 700.0),  # seconds until the next request
        st.booleans(),  # whether the request could take another one
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=80)
@given(CHAOS)
def test_whatever_happened_all_of_them_come_back(
    events: list[tuple[str, int, float, bool]],
) -> None:
    """F14: once a provider is well again, requests find that out, and nobody has to restart."""
    bench = Bench(COUNT)
    for number, (model, status, seconds, may_try) in enumerate(events):
        slot = bench.take(number, model, may_try=may_try)
        if slot is None:
            assert bench.pool.wait_s(model) > 0
            assert "ok" not in bench.states()
        elif status == 200:
            bench.pool.note_success(slot, number)
        else:
            bench.pool.note_failure(slot, number, model, answer(status, retry_after="30"))
        if slot is not None:
            slot.give_back(number)
        bench.hand.now += seconds
    bench.hand.now += SET_ASIDE_S

    for number in range(3 * COUNT):
        slot = bench.take(number, "a")
        assert slot is not None
        bench.pool.note_success(slot, number)
        slot.give_back(number)

    assert bench.states() == ["ok"] * COUNT
    assert [slot.in_flight for slot in bench.pool.slots] == [0] * COUNT
