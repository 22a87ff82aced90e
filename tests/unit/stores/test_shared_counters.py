"""What stands in for Redis while it is gone, and how the two are brought together again."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.stores.counters import LEASE_S, Charge, CounterKind, Used, WhenDown
from gateway.stores.errors import CountersDownError
from gateway.stores.redis_counters import RedisCounters
from gateway.stores.redis_link import ALL_BACK_S
from gateway.stores.shared_counters import SharedCounters
from tests.plugins.counters import MIDNIGHT, Hand
from tests.plugins.own_time import Stopwatch
from tests.plugins.redis_server import RedisServer

DAY_S = 86_400.0
SHARES = 4


class Shared:
    """A store over a server that may be hurt; a test knows when it is back."""

    def __init__(self, server: RedisServer, hand: Hand, all_back_s: float = ALL_BACK_S) -> None:
        self.redis = RedisCounters(server.address, hand.wall, all_back_s=all_back_s)
        self.store = SharedCounters(self.redis, shares=SHARES, clock=hand.clock, wall=hand.wall)
        self.server = server
        self._was_up = self.redis.when_up
        self._came_back = asyncio.Event()
        self.redis.when_up = self._go_back

    async def lose(self) -> None:
        """Kill the server, and notice."""
        self.server.kill()
        await self.store.admit("notices", [])
        self.store.settle("notices", Used())
        assert self.store.is_degraded

    async def find(self) -> None:
        """Start the server, empty, and wait until it is asked again."""
        self.server.start()
        await self.see_it_back()

    async def see_it_back(self) -> None:
        """Wait until it is asked again."""
        await self._came_back.wait()
        self._came_back.clear()

    def _go_back(self) -> None:
        if self._was_up is not None:
            self._was_up()
        self._came_back.set()


@pytest.fixture
async def shared(own_redis: RedisServer, hand: Hand) -> AsyncIterator[Shared]:
    """A store with four shares."""
    opened = Shared(own_redis, hand)
    await opened.store.open()
    yield opened
    await opened.store.close()


def place(capacity: int = 8, when_down: WhenDown = "local") -> Charge:
    """One place."""
    return Charge("p", CounterKind.PLACES, capacity, 1, rule=3, when_down=when_down)


def quota(cost: int, capacity: int = 100, when_down: WhenDown = "local") -> Charge:
    """Tokens of the first day."""
    return Charge(
        "q",
        CounterKind.QUOTA,
        capacity,
        cost,
        starts_at=MIDNIGHT,
        ends_at=MIDNIGHT + DAY_S,
        rule=5,
        when_down=when_down,
    )


async def count_admitted(store: SharedCounters, *charges: Charge, prefix: str = "n") -> int:
    """Ask until it is refused; that many were let in."""
    for number in range(100):
        if not (await store.admit(f"{prefix}{number}", charges)).is_admitted:
            return number
    return 100


async def test_a_process_lets_in_its_part(shared: Shared) -> None:
    """J01: four of them let in together what the rule says, of each kind."""
    await shared.lose()

    assert await count_admitted(shared.store, place(8), prefix="p") == 2
    rate = Charge("r", CounterKind.REQUESTS, 12, 1, per_s=4.0)
    assert await count_admitted(shared.store, rate, prefix="r") == 3
    tokens = Charge("t", CounterKind.TOKENS, 400, 10, per_s=4.0)
    assert await count_admitted(shared.store, tokens, prefix="t") == 10
    refused = await shared.store.admit("late", [rate])
    assert refused.standings[0].wait_s == pytest.approx(1.0)  # at a fourth of the rate


async def test_one_place_and_one_large_request_still_fit(shared: Shared) -> None:
    """J01: a part is never too small for anybody: that would be a limit of none."""
    await shared.lose()

    assert await count_admitted(shared.store, place(1)) == 1
    large = Charge("t", CounterKind.TOKENS, 100, 100, per_s=1.0)
    assert (await shared.store.admit("large", [large])).is_admitted


async def test_open_lets_in_and_closed_does_not(shared: Shared) -> None:
    """5.2: the rule says it; what refuses is named."""
    await shared.lose()

    assert await count_admitted(shared.store, place(1, "open")) == 100
    with pytest.raises(CountersDownError) as refused:
        await shared.store.admit("x", [quota(1), place(1, "closed")])
    assert refused.value.rule == 3
    tried = Charge("p", CounterKind.PLACES, 1, 1, is_tried_out=True, when_down="closed")
    assert (await shared.store.admit("y", [tried])).is_admitted


async def test_nothing_is_held_for_who_was_refused(shared: Shared) -> None:
    """J01: neither here nor there when it is back."""
    await shared.lose()
    with pytest.raises(CountersDownError):
        await shared.store.admit("x", [place(), quota(10, when_down="closed")])

    await shared.find()

    admission = await shared.store.admit("y", [place(), quota(10)])
    assert [standing.remaining for standing in admission.standings] == [7, 90]


async def test_a_day_is_lent_out_by_what_was_left_of_it(shared: Shared) -> None:
    """5.2: a budget that is nearly spent is not spent four times over."""
    await shared.store.admit("a", [quota(60)])
    shared.store.settle("a", Used(60))
    await shared.store.admit("b", [quota(0)])
    await shared.lose()

    with pytest.raises(CountersDownError) as refused:  # and nobody is told to wait a day
        await count_admitted(shared.store, quota(3), prefix="q")

    assert refused.value.rule == 5
    assert shared.redis.held.keys() == {"b", "q0", "q1", "q2"}  # nine of the ten


async def test_who_is_refused_for_a_rate_is_told_of_that(shared: Shared) -> None:
    """5.2: 429 with its wait, and no 503 because of a day that has enough, or that is tried out."""
    await shared.lose()
    rate = Charge("r", CounterKind.REQUESTS, 4, 1, per_s=4.0)
    tried = msgspec.structs.replace(quota(100), key="tried", rule=6, is_tried_out=True)
    await shared.store.admit("a", [rate])

    refused = await shared.store.admit("b", [rate, quota(1), tried])

    assert not refused.is_admitted
    assert [standing.wait_s > 0 for standing in refused.standings] == [True, False, True]


async def test_a_day_that_was_cut_is_lent_out_by_the_new_number(shared: Shared) -> None:
    """5.2: more was left when it was last heard of than the rule has by now."""
    await shared.store.admit("a", [quota(0)])
    await shared.lose()

    with pytest.raises(CountersDownError):
        await count_admitted(shared.store, quota(5, capacity=40), prefix="q")

    assert shared.redis.held.keys() == {"a", "q0", "q1"}  # ten of the forty


async def test_what_streams_hold_counts_here_too(shared: Shared) -> None:
    """J01: places that were taken before it went are no more to be had after it."""
    for number in range(2):
        await shared.store.admit(str(number), [place(8)])
    await shared.lose()

    assert not (await shared.store.admit("c", [place(8)])).is_admitted
    shared.store.settle("0", Used())
    assert (await shared.store.admit("d", [place(8)])).is_admitted


async def test_what_was_used_meanwhile_is_booked_when_it_is_back(shared: Shared) -> None:
    """J03: settled while it was gone, or still held: nothing is forgotten or counted twice."""
    await shared.store.admit("before", [place(40), quota(10)])
    await shared.store.admit("through", [place(40), quota(10)])
    await shared.lose()
    meanwhile = await shared.store.admit("meanwhile", [place(40), quota(5)])
    assert meanwhile.is_admitted
    shared.store.settle("meanwhile", Used(4))
    shared.store.settle("before", Used(7))

    await shared.find()

    admission = await shared.store.admit("after", [place(40), quota(1)])
    assert [standing.remaining for standing in admission.standings] == [38, 100 - 4 - 7 - 10 - 1]
    shared.store.settle("through", Used(20))
    shared.store.settle("after", Used())
    admission = await shared.store.admit("last", [place(40), quota(1)])
    assert [standing.remaining for standing in admission.standings] == [39, 100 - 4 - 7 - 20 - 1]


async def test_leases_are_renewed_on_both_sides(shared: Shared, hand: Hand) -> None:
    """I04: a long stream keeps its place through an outage of minutes."""
    await shared.store.admit("long", [place(4)])
    await shared.lose()
    for _ in range(6):
        hand.advance(LEASE_S / 3)
        await shared.store.renew(["long"])
    assert not (await shared.store.admit("x", [place(4)])).is_admitted

    await shared.find()

    admission = await shared.store.admit("y", [place(4)])
    assert admission.standings[0].remaining == 2


async def test_each_change_is_one_line(shared: Shared) -> None:
    """J01: a thousand requests during an outage are no thousand lines."""
    with capture_logs() as lines:
        await shared.lose()
        for number in range(1_000):
            await shared.store.admit(str(number), [place(10_000)])
            shared.store.settle(str(number), Used())
        await shared.find()

    events = [line["event"] for line in lines]
    assert events == ["counters.redis_lost", "counters.redis_regained"]


async def test_a_frozen_redis_delays_one_round(shared: Shared) -> None:
    """J02: whoever asks meanwhile is let in by memory, after 250 ms at most, and then at once."""
    shared.server.freeze()
    began = time.monotonic()
    first = await asyncio.gather(*(shared.store.admit(str(n), [place(800)]) for n in range(50)))
    waited_s = time.monotonic() - began
    watch = Stopwatch()
    later = [await shared.store.admit(f"l{number}", [place(800)]) for number in range(100)]
    took_s = watch.seconds

    assert all(admission.is_admitted for admission in (*first, *later))
    assert waited_s < 1.0
    assert took_s < 0.2
    shared.server.thaw()


async def test_who_is_cancelled_while_it_freezes_leaves_nothing(shared: Shared) -> None:
    """J05: neither a place nor a phantom."""
    shared.server.freeze()
    tasks = [asyncio.ensure_future(shared.store.admit(str(n), [place(8)])) for n in range(4)]
    for _ in range(9):  # it is sent
        await asyncio.sleep(0)
    for number, task in enumerate(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        shared.store.settle(str(number), Used())
    await shared.store.admit("notices", [])
    shared.server.thaw()
    await shared._came_back.wait()  # noqa: SLF001 - of this file

    admission = await shared.store.admit("x", [place(8)])

    assert admission.standings[0].remaining == 7


async def test_the_ledger_is_asked_once_all_others_are_back(
    own_redis: RedisServer, hand: Hand
) -> None:
    """J03: it has what they were let in meanwhile, and so has what they are about to tell Redis."""
    patient, hasty = Shared(own_redis, hand, 3_600), Shared(own_redis, hand, 0)
    for one in (patient, hasty):
        await one.store.open()
        await one.store.recall([])
    await hasty.lose()
    await patient.store.admit("notices", [])

    await hasty.find()
    await patient.see_it_back()

    assert own_redis.run("EXISTS", "{chat-gateway}:recalled") == 0
    await patient.store.renew([])
    assert not patient.store.begins_anew.is_set()
    await hasty.store.begins_anew.wait()
    await hasty.store.recall([])
    own_redis.run("FLUSHALL")
    await hasty.store.renew([])  # which notices it again, once that wait is over
    assert hasty.store.begins_anew.is_set()
    for one in (patient, hasty):
        await one.store.close()
