"""`enter` says in one call what three say, and `leave` makes it as if nothing had been asked."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.counters import Charge, CounterKind, Used
from gateway.stores.memory_counter_kinds import (
    MemoryCounter,
    PlacesCounter,
    QuotaCounter,
    RequestsCounter,
    TokensCounter,
)

WALL = 1_800_000_000.0
KINDS = st.sampled_from([CounterKind.REQUESTS, CounterKind.TOKENS, CounterKind.PLACES])
WINDOWED = st.sampled_from([CounterKind.QUOTA, CounterKind.MONEY])


def make(charge: Charge) -> MemoryCounter:
    """A new counter for such charges."""
    match charge.kind:
        case CounterKind.REQUESTS:
            return RequestsCounter()
        case CounterKind.TOKENS:
            return TokensCounter()
        case CounterKind.PLACES:
            return PlacesCounter()
        case CounterKind.QUOTA | CounterKind.MONEY:
            return QuotaCounter(lambda: WALL, charge)


def state_of(counter: MemoryCounter, charge: Charge, now: float) -> object:
    """All that can be seen of a counter."""
    return counter.wait_s(charge, now), counter.standing(charge, now, 0.0), counter.is_idle(now)


charges = st.builds(
    Charge,
    key=st.just("k"),
    kind=KINDS | WINDOWED,
    capacity=st.integers(1, 40),
    cost=st.integers(1, 50),
    per_s=st.sampled_from([0.1, 1.0, 7.0]),
    starts_at=st.sampled_from([WALL - 60, WALL - 30]),
    ends_at=st.just(WALL + 30),
)
steps = st.lists(
    st.tuples(st.integers(1, 50), st.floats(0, 20), st.booleans(), st.integers(0, 60)), max_size=12
)


@given(charges, steps)
def test_one_call_says_what_three_say(
    charge: Charge, steps: list[tuple[int, float, bool, int]]
) -> None:
    """A caller is let in, refused and told the same, whether all rules fit or one does not."""
    counter, now = make(charge), 1_000.0
    for cost, pause_s, is_settled, tokens in steps:
        now += pause_s
        asked = Charge(
            charge.key,
            charge.kind,
            charge.capacity,
            cost,
            charge.per_s,
            charge.starts_at,
            charge.ends_at,
        )
        other = copy.copy(counter)
        wait_s = other.wait_s(asked, now)
        before = state_of(copy.copy(other), asked, now)

        standing = counter.enter(asked, now)

        assert (standing is None) == bool(wait_s)
        if standing is None:
            assert state_of(copy.copy(counter), asked, now) == before
            continue
        other.take(asked, now)
        assert standing == other.standing(asked, now, 0.0)
        undone = copy.copy(counter)
        undone.leave(asked)
        assert state_of(undone, asked, now) == before
        if is_settled:
            counter.settle(asked, Used(tokens, tokens), now)
