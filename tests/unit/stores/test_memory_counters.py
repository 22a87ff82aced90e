"""Counters in memory; what every store promises is in tests/contract/test_counter_stores.py."""

import msgspec

from gateway.stores.counters import LEASE_S, Charge, CounterKind, Used
from gateway.stores.memory_counters import SWEPT_IN_PEACE, MemoryCounters
from tests.plugins.counters import MIDNIGHT, Hand

DAY_S = 86_400.0


def charges_of(caller: str) -> list[Charge]:
    """One of each kind, for a caller of their own."""
    return [
        Charge(f"r{caller}", CounterKind.REQUESTS, 10, 1, per_s=1.0),
        Charge(f"t{caller}", CounterKind.TOKENS, 10, 5, per_s=1.0),
        Charge(f"p{caller}", CounterKind.PLACES, 10, 1),
        Charge(
            f"q{caller}",
            CounterKind.QUOTA,
            10,
            5,
            starts_at=MIDNIGHT,
            ends_at=MIDNIGHT + DAY_S,
        ),
    ]


async def test_callers_who_are_gone_leave_nothing(hand: Hand) -> None:
    """I14: memory grows with who calls, not with who has called."""
    counters = MemoryCounters(hand.clock, hand.wall)
    largest = 0
    for number in range(2_000):
        await counters.admit(str(number), charges_of(str(number)))
        counters.settle(str(number), Used())
        hand.advance(0.1)
        largest = max(largest, len(counters))

    assert largest < 100  # ten requests in a second, twice what is needed of each


async def test_a_quota_is_remembered_for_as_long_as_it_lasts(hand: Hand) -> None:
    """I14: what was used is no garbage before its day is over."""
    counters = MemoryCounters(hand.clock, hand.wall)
    await counters.admit("a", charges_of("alice"))
    counters.settle("a", Used(10))

    for number in range(1_000):
        hand.advance(10.0)
        await counters.admit(f"{number}", charges_of(f"{number}"))
        counters.settle(f"{number}", Used())

    assert not (await counters.admit("b", charges_of("alice"))).is_admitted


async def test_a_quiet_gateway_forgets_too(hand: Hand) -> None:
    """I14: after the rush nobody calls who could sweep."""
    counters = MemoryCounters(hand.clock, hand.wall)
    for number in range(SWEPT_IN_PEACE // 4):
        await counters.admit(str(number), charges_of(str(number)))
        counters.settle(str(number), Used(3))

    hand.advance(DAY_S)
    await counters.renew([])

    assert len(counters) == 0


async def test_what_is_held_is_not_swept(hand: Hand) -> None:
    """I05: a place whose counter was forgotten would be given twice."""
    counters = MemoryCounters(hand.clock, hand.wall)
    place = Charge("p", CounterKind.PLACES, 1, 1)
    await counters.admit("a", [place])

    for number in range(100):
        await counters.admit(f"{number}", charges_of(f"{number}"))
        counters.settle(f"{number}", Used())

    assert not (await counters.admit("b", [place])).is_admitted


async def test_a_lapsed_hold_is_forgotten_in_the_end(hand: Hand) -> None:
    """J03: what nobody settles must not stay for ever."""
    counters = MemoryCounters(hand.clock, hand.wall)
    await counters.admit("a", [Charge("t", CounterKind.TOKENS, 10, 5, per_s=1.0)])
    hand.advance(LEASE_S)
    await counters.renew([])
    hand.advance(DAY_S)
    await counters.renew([])

    counters.settle("a", Used(1_000))

    assert len(counters) == 0


async def test_each_lease_ends_at_its_own_time(hand: Hand) -> None:
    """J03: one that ended a moment ago puts off no other."""
    counters = MemoryCounters(hand.clock, hand.wall)
    place = Charge("p", CounterKind.PLACES, 2, 1)
    await counters.admit("a", [place])
    hand.advance(LEASE_S / 2)
    await counters.admit("b", [place])
    found = []
    for hold_ids in ("cd", "ef"):
        hand.advance(LEASE_S / 2)
        found += [(await counters.admit(hold_id, [place])).is_admitted for hold_id in hold_ids]

    assert found == [True, False, True, False]


async def test_what_was_let_in_elsewhere_counts_here(hand: Hand) -> None:
    """J01: whether it fits or not, and until it is settled."""
    counters = MemoryCounters(hand.clock, hand.wall)
    place = Charge("p", CounterKind.PLACES, 1, 1)
    for hold_id in ("a", "b"):
        counters.adopt(hold_id, [place])

    counters.settle("a", Used())
    assert not (await counters.admit("c", [place])).is_admitted
    counters.settle("b", Used())
    assert (await counters.admit("d", [place])).is_admitted


async def test_what_comes_late_counts_in_the_window_that_is_now(hand: Hand) -> None:
    """J03: a hold lapsed, its window ended, and more was used than it had set aside."""
    counters = MemoryCounters(hand.clock, hand.wall)
    first = Charge("q", CounterKind.QUOTA, 10, 5, starts_at=MIDNIGHT, ends_at=MIDNIGHT + 60)
    second = Charge("q", CounterKind.QUOTA, 10, 5, starts_at=MIDNIGHT + 60, ends_at=MIDNIGHT + 120)
    await counters.admit("late", [first])
    for seconds in (LEASE_S + 1, 40):
        hand.advance(seconds)
        await counters.renew([])
    assert len(counters) == 0

    counters.settle("late", Used(8))

    [standing] = (await counters.admit("next", [second])).standings
    assert standing.remaining == 10 - (8 - 5) - 5


async def test_a_day_that_is_over_when_its_sum_is_known_is_no_part_of_the_next(hand: Hand) -> None:
    """A sum takes minutes where the ledger is large, and midnight may pass meanwhile."""
    counters = MemoryCounters(hand.clock, hand.wall)
    yesterday = charges_of("alice")[-1]
    hand.advance(yesterday.ends_at - hand.wall() + 5.0)
    ends_at = yesterday.ends_at + DAY_S
    today = msgspec.structs.replace(yesterday, starts_at=yesterday.ends_at, ends_at=ends_at)
    await counters.admit("a", [today])
    counters.settle("a", Used())

    counters.recall(yesterday, 10)

    assert (await counters.admit("b", [today])).is_admitted
