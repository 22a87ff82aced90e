"""What every store of counters promises, groups I and J of the faults.

The rule here: a test knows the protocol and the hand of the clock, and no store.
"""

import asyncio
import math

import msgspec
import pytest

from gateway.stores.counters import (
    LEASE_S,
    SOON_S,
    Admission,
    Charge,
    CounterKind,
    CounterStore,
    Used,
)
from tests.plugins.counters import MIDNIGHT, Hand

DAY_S = 86_400.0


def requests(capacity: int = 3, per_s: float = 1.0, **fields: object) -> Charge:
    """One request of a rate."""
    return make_charge("r", CounterKind.REQUESTS, capacity, 1, per_s=per_s, **fields)


def tokens(cost: int, capacity: int = 100, per_s: float = 10.0, **fields: object) -> Charge:
    """Tokens of a rate."""
    return make_charge("t", CounterKind.TOKENS, capacity, cost, per_s=per_s, **fields)


def place(capacity: int = 2, **fields: object) -> Charge:
    """One place."""
    return make_charge("p", CounterKind.PLACES, capacity, 1, **fields)


def quota(cost: int, day: int = 0, capacity: int = 100, **fields: object) -> Charge:
    """Tokens of a day."""
    starts_at = MIDNIGHT + day * DAY_S
    ends_at = starts_at + DAY_S
    return make_charge(
        "q", CounterKind.QUOTA, capacity, cost, starts_at=starts_at, ends_at=ends_at, **fields
    )


def money(cost: int, day: int = 0, capacity: int = 100, **fields: object) -> Charge:
    """Micros of a day."""
    charge = quota(cost, day, capacity, **fields)
    return msgspec.structs.replace(charge, key="m", kind=CounterKind.MONEY)


def make_charge(key: str, kind: CounterKind, capacity: int, cost: int, **fields: object) -> Charge:
    """A charge; a field that is given wins."""
    return Charge(**{"key": key, "kind": kind, "capacity": capacity, "cost": cost, **fields})


async def admit(store: CounterStore, hold_id: str, *charges: Charge) -> Admission:
    """Ask for these charges."""
    return await store.admit(hold_id, charges)


async def is_admitted(store: CounterStore, hold_id: str, *charges: Charge) -> bool:
    """Say whether they were let in."""
    return (await admit(store, hold_id, *charges)).is_admitted


async def test_no_burst_gets_through_at_a_boundary(store: CounterStore, hand: Hand) -> None:
    """I02: in no window are there more than the burst and what comes back meanwhile."""
    let_in: list[float] = []
    for number in range(600):
        if await is_admitted(store, str(number), requests(capacity=5, per_s=1.0)):
            let_in.append(hand.now)
        hand.advance(0.125)

    for begin in let_in:
        for length in (0.5, 1.0, 7.0, 30.0):
            count = sum(begin <= at < begin + length for at in let_in)
            assert count <= 5 + length
    assert len(let_in) == 5 + 74  # and all of that


async def test_what_one_counter_refuses_is_taken_of_none(store: CounterStore) -> None:
    """I03: a refusal for want of a place burns neither requests nor tokens."""
    everything = (requests(), tokens(30), quota(30))
    await admit(store, "a", place(capacity=1))

    refused = await admit(store, "b", *everything, place(capacity=1))

    assert not refused.is_admitted
    assert [s.wait_s for s in refused.standings] == [0.0, 0.0, 0.0, SOON_S]
    admitted = await admit(store, "c", *everything)
    assert [standing.remaining for standing in admitted.standings] == [2, 70, 70]


async def test_racing_requests_never_take_more_than_there_is(store: CounterStore) -> None:
    """I01: 200 at once on a budget for ten."""
    asked = [is_admitted(store, str(number), quota(10), place(50)) for number in range(200)]

    admitted = await asyncio.gather(*asked)

    assert sum(admitted) == 10
    for number, was_admitted in enumerate(admitted):
        if was_admitted:
            store.settle(str(number), Used(10))
    standing = (await admit(store, "last", quota(1))).standings[0]
    assert standing.remaining == 0


async def test_a_second_settlement_changes_nothing(store: CounterStore) -> None:
    """I06: settled twice, or never admitted: no place too many, no token too few."""
    await admit(store, "a", place(), quota(50))
    store.settle("a", Used(20))

    store.settle("a", Used(20))
    store.settle("nobody", Used(90))

    after = await admit(store, "b", place(), quota(50))
    assert [standing.remaining for standing in after.standings] == [1, 30]


async def test_a_lost_hold_lapses(store: CounterStore, hand: Hand) -> None:
    """I04: places of a killed process are free, and its tokens count as used, not as free."""
    await admit(store, "a", place(1), quota(60))

    hand.advance(LEASE_S)

    assert await is_admitted(store, "b", place(1), quota(40))
    assert not await is_admitted(store, "c", quota(1))


async def test_a_hold_that_is_renewed_lasts(store: CounterStore, hand: Hand) -> None:
    """I04: an answer of an hour keeps its place."""
    await admit(store, "a", place(1))

    for _ in range(12):
        hand.advance(LEASE_S / 3)
        await store.renew(["a", "nobody"])

    assert not await is_admitted(store, "b", place(1))
    store.settle("a", Used())
    assert await is_admitted(store, "c", place(1))


async def test_who_settles_after_all_is_booked_for_more_and_frees_no_place_twice(
    store: CounterStore, hand: Hand
) -> None:
    """I06: settled after it lapsed."""
    await admit(store, "a", place(2), quota(10))
    hand.advance(LEASE_S)
    await admit(store, "b", place(2), quota(10))

    store.settle("a", Used(25))

    after = await admit(store, "c", place(2), quota(10))
    assert [standing.remaining for standing in after.standings] == [0, 55]


async def test_a_lapsed_hold_that_is_renewed_is_still_booked(
    store: CounterStore, hand: Hand
) -> None:
    """J03: a process that stood still renews what it believes to hold, and settles much later."""
    await admit(store, "a", quota(10))
    hand.advance(LEASE_S)
    await store.renew([])
    await store.renew(["a"])
    hand.advance(2 * LEASE_S)
    await store.renew([])

    store.settle("a", Used(60))

    assert (await admit(store, "b", quota(1))).standings[0].remaining == 39


async def test_what_is_used_beyond_what_was_set_aside_is_a_debt(
    store: CounterStore, hand: Hand
) -> None:
    """I10: it is booked, and whoever comes next waits for it."""
    await admit(store, "a", tokens(10), quota(10))
    store.settle("a", Used(180))

    refused = await admit(store, "b", tokens(20), quota(20))

    assert [standing.remaining for standing in refused.standings] == [0, 0]
    assert refused.standings[0].wait_s == pytest.approx(10.0)
    hand.advance(10.0)
    assert await is_admitted(store, "c", tokens(20))


async def test_money_and_tokens_are_settled_each_by_its_own(store: CounterStore) -> None:
    """I10: a dear answer of few tokens is a debt of money, and of nothing else."""
    await admit(store, "a", tokens(40), quota(40), money(40))

    store.settle("a", Used(tokens=5, micros=160))

    refused = await admit(store, "b", tokens(1), quota(1), money(1))
    assert [standing.remaining for standing in refused.standings] == [95, 95, 0]
    assert refused.standings[2].wait_s == pytest.approx(DAY_S)
    assert await is_admitted(store, "c", money(100, day=1))


async def test_money_of_a_lapsed_hold_counts_as_spent(store: CounterStore, hand: Hand) -> None:
    """I04, I06: a killed process has spent what it had set aside; what is beyond comes later."""
    await admit(store, "a", money(60))
    hand.advance(LEASE_S)
    assert not await is_admitted(store, "b", money(41))

    store.settle("a", Used(tokens=1_000, micros=70))
    store.settle("a", Used(tokens=1_000, micros=70))

    assert (await admit(store, "c", money(10))).standings[0].remaining == 20


async def test_what_comes_late_counts_in_the_window_that_is_now(
    store: CounterStore, hand: Hand
) -> None:
    """I04: whether or not somebody is counted in it; what was set aside is the old one's."""
    hand.advance(DAY_S - LEASE_S)
    for hold_id in ("a", "b"):
        await admit(store, hold_id, money(10))
    hand.advance(LEASE_S)
    await admit(store, "sees that they have lapsed", requests())

    store.settle("a", Used(micros=25))
    first = await admit(store, "c", money(10, day=1))
    store.settle("b", Used(micros=25))
    second = await admit(store, "d", money(10, day=1))

    assert first.standings[0].remaining == 100 - (25 - 10) - 10
    assert second.standings[0].remaining == 100 - 2 * (25 - 10) - 2 * 10


async def test_racing_requests_never_spend_more_than_there_is(store: CounterStore) -> None:
    """I01: admitted cost never exceeds the budget, to the micro."""
    budget, cost = 10**15 + 7, 10**14 + 3  # what a float would round

    asked = [is_admitted(store, str(n), money(cost, capacity=budget)) for n in range(200)]
    admitted = await asyncio.gather(*asked)

    assert sum(admitted) == 9
    last = await admit(store, "last", money(budget - 9 * cost, capacity=budget))
    assert (last.is_admitted, last.standings[0].remaining) == (True, 0)


async def test_what_was_set_aside_too_much_comes_back_whole(store: CounterStore) -> None:
    """I17: an answer that is short after all is no phantom."""
    await admit(store, "a", tokens(90), quota(90))

    store.settle("a", Used())

    after = await admit(store, "b", tokens(100), quota(100))
    assert after.is_admitted


async def test_giving_back_late_forgets_nobody_else(store: CounterStore, hand: Hand) -> None:
    """I17, the other way: a bucket that filled meanwhile does not get the rest on top."""
    await admit(store, "slow", tokens(50))
    hand.advance(20)
    await admit(store, "b", tokens(50))
    store.settle("b", Used(50))

    store.settle("slow", Used())

    after = await admit(store, "c", tokens(1))
    assert after.standings[0].remaining == 49


async def test_a_limit_that_is_lowered_below_what_is_used_holds(store: CounterStore) -> None:
    """I13: no negative number is said, and what is open can end."""
    await admit(store, "a", place(2), quota(90))
    await admit(store, "b", place(2))

    refused = await admit(store, "c", place(1), quota(1, capacity=50))

    assert [standing.remaining for standing in refused.standings] == [0, 0]
    store.settle("a", Used())
    store.settle("b", Used())
    assert await is_admitted(store, "d", place(1), quota(1, capacity=50))


async def test_a_rate_that_is_raised_shortens_what_is_waited_for(
    store: CounterStore, hand: Hand
) -> None:
    """Whoever is given more has not to pay their debt at the old rate first."""
    await admit(store, "a", tokens(10))
    store.settle("a", Used(700))
    for number in range(3):
        await admit(store, f"r{number}", requests())
    before = await admit(store, "b", tokens(1), requests())
    assert [standing.wait_s for standing in before.standings] == pytest.approx([60.1, 1.0])

    asked = (tokens(1, per_s=100.0), requests(per_s=4.0))
    after = await admit(store, "c", *asked)

    waits = [standing.wait_s for standing in after.standings]
    assert waits == pytest.approx([6.01, 0.25])
    assert [standing.reset_s for standing in after.standings] == pytest.approx([7.0, 0.75])
    hand.advance(waits[0] * 0.99)
    assert not await is_admitted(store, "early", *asked)
    hand.advance(waits[0] * 0.01)
    assert await is_admitted(store, "d", *asked)


async def test_who_began_before_a_rate_was_raised_is_booked_at_the_new_one(
    store: CounterStore,
) -> None:
    """An answer may take as long as the restart that raises it."""
    await admit(store, "a", tokens(10))
    await admit(store, "b", tokens(10, per_s=100.0))

    store.settle("a", Used(700))

    after = await admit(store, "c", tokens(1, per_s=100.0))
    assert after.standings[0].reset_s == pytest.approx(7.1)


async def test_what_lapsed_before_a_rate_was_raised_is_booked_at_the_new_one(
    store: CounterStore, hand: Hand
) -> None:
    """J03: what is settled late as well."""
    await admit(store, "a", tokens(10))
    hand.advance(LEASE_S)
    await admit(store, "b", tokens(10, per_s=100.0))

    store.settle("a", Used(700))

    after = await admit(store, "c", tokens(1, per_s=100.0))
    assert after.standings[0].reset_s == pytest.approx(7.1)


async def test_a_rate_that_is_lowered_makes_nobody_wait_longer_for_what_is_over(
    store: CounterStore,
) -> None:
    """A thousand requests of the last minute would be an hour and a half at ten a minute."""
    await admit(store, "a", tokens(10))
    store.settle("a", Used(700))

    after = await admit(store, "b", tokens(100, per_s=5.0))

    assert after.standings[0].wait_s == pytest.approx(70.0)


@pytest.mark.parametrize("per_s", [1 / 60, 1 / 7, 0.3, 1000 / 60, 123.456])
async def test_who_waits_as_told_is_let_in(store: CounterStore, hand: Hand, per_s: float) -> None:
    """I16: to the moment, in numbers that floats cannot hold, and not a hundredth before."""
    let_in = 0
    for number in range(200):
        asked = (requests(per_s=per_s), tokens(40, per_s=per_s * 10))
        admission = await admit(store, f"{number}", *asked)
        if admission.is_admitted:
            let_in += 1
            store.settle(f"{number}", Used(33))
            continue
        wait_s = max(standing.wait_s for standing in admission.standings)
        hand.advance(wait_s * 0.99)
        assert not await is_admitted(store, f"early{number}", *asked)
        hand.advance(wait_s * 0.01)
        assert await is_admitted(store, f"again{number}", *asked)
        store.settle(f"again{number}", Used(33))

    assert let_in < 200


async def test_a_window_begins_anew_and_who_is_under_way_counts_in_it(
    store: CounterStore, hand: Hand
) -> None:
    """I17: a spent day is over at midnight."""
    await admit(store, "a", quota(70))
    store.settle("a", Used(70))
    await admit(store, "b", quota(30))
    assert (await admit(store, "c", quota(31))).standings[0].wait_s == pytest.approx(DAY_S)

    hand.advance(DAY_S / 2)
    await store.renew(["b"])  # it lapsed long ago
    hand.advance(DAY_S / 2)

    after = await admit(store, "d", quota(10, day=1))
    assert after.standings[0].remaining == 90


async def test_a_wall_clock_that_is_set_back_frees_nothing(store: CounterStore, hand: Hand) -> None:
    """M07: yesterday's quota does not come back."""
    await admit(store, "a", quota(100, day=1))
    store.settle("a", Used(100))

    hand.wall_ahead -= DAY_S / 2

    assert not await is_admitted(store, "b", quota(1, day=0))


async def test_a_clock_that_is_set_back_blocks_for_the_step_at_most(
    store: CounterStore, hand: Hand
) -> None:
    """M07: an hour back is no lock-out of more than that hour, and frees nothing."""
    for number in range(3):
        await admit(store, str(number), requests(), tokens(10))
        store.settle(str(number), Used(10))

    hand.advance(-3600.0)

    refused = await admit(store, "b", requests(), tokens(100))
    assert not refused.is_admitted
    wait_s = max(standing.wait_s for standing in refused.standings)
    assert wait_s <= 3600.0 + 3.0
    hand.advance(wait_s)
    assert await is_admitted(store, "c", requests(), tokens(100))


async def test_a_rule_that_is_tried_out_refuses_nobody_and_counts_as_if_it_did(
    store: CounterStore,
) -> None:
    """A trial shows what the rule would do; and what it would refuse, it does not take."""
    tried = (place(1, rule=7, is_tried_out=True), quota(60, rule=7, is_tried_out=True))
    await admit(store, "a", *tried, requests())

    second = await admit(store, "b", *tried, requests())

    assert second.is_admitted
    assert [standing.wait_s > 0 for standing in second.standings] == [True, True, False]
    store.settle("b", Used(60))
    store.settle("a", Used(10))
    third = await admit(store, "c", *tried, requests())
    assert [standing.remaining for standing in third.standings] == [0, 30, 0]


async def test_a_rule_that_is_tried_out_lets_nobody_past_another(store: CounterStore) -> None:
    """Where neither fits, the one that counts says no."""
    charges = (place(1, rule=7, is_tried_out=True), quota(60, rule=8))
    await admit(store, "a", *charges)

    refused = await admit(store, "b", *charges)

    assert not refused.is_admitted
    assert [standing.wait_s > 0 for standing in refused.standings] == [True, True]


async def test_an_admission_that_is_cancelled_can_be_settled(store: CounterStore) -> None:
    """I05, J05: whatever was taken by then is given back, and nothing else."""
    for number in range(20):
        task = asyncio.ensure_future(store.admit(str(number), [place(1), quota(50)]))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        store.settle(str(number), Used())

    admission = await admit(store, "last", place(1), quota(100))
    assert admission.is_admitted


async def test_with_no_traffic_everything_is_as_new(store: CounterStore, hand: Hand) -> None:
    """I17: no state is left that could refuse anybody."""
    for number in range(50):
        charges = (requests(), tokens(30), place(), quota(20))
        if await is_admitted(store, str(number), *charges) and number % 2:
            store.settle(str(number), Used(number))
        hand.advance(0.5)

    hand.advance(math.ceil(LEASE_S))
    await store.renew([])
    hand.advance(DAY_S)

    admission = await admit(store, "last", requests(), tokens(100), place(), quota(100, day=1))
    assert admission.is_admitted
    assert [standing.remaining for standing in admission.standings] == [2, 0, 1, 0]
