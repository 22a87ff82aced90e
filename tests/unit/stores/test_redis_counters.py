"""Counters in Redis; what every store promises is in tests/contract/test_counter_stores.py."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.config.stores import RedisAddress
from gateway.stores.counters import LEASE_S, Charge, CounterKind, Used
from gateway.stores.errors import StoreDownError
from gateway.stores.redis_counters import MOST, RedisCounters
from tests.plugins.counters import MIDNIGHT, PATIENCE_S, Hand
from tests.plugins.redis_server import RedisServer

DAY_S = 86_400.0
PLACE = Charge("p", CounterKind.PLACES, 2, 1)


def quota(cost: int, capacity: int = 100) -> Charge:
    """Tokens of the first day."""
    return Charge(
        "q", CounterKind.QUOTA, capacity, cost, starts_at=MIDNIGHT, ends_at=MIDNIGHT + DAY_S
    )


@pytest.fixture
async def counters(valkey: RedisServer, hand: Hand) -> AsyncIterator[RedisCounters]:
    """A store on a clock that the test moves."""
    valkey.run("FLUSHALL")
    opened = RedisCounters(valkey.address, hand.wall, timeout_s=PATIENCE_S)
    yield opened
    await opened.close()


async def remaining(counters: RedisCounters, charge: Charge) -> int:
    """What is left of a counter."""
    admission = await counters.admit("looks", [charge])
    counters.settle("looks", Used())
    return admission.standings[0].remaining + (charge.cost if admission.is_admitted else 0)


async def test_two_processes_see_one_count(
    counters: RedisCounters, valkey: RedisServer, hand: Hand
) -> None:
    """I01: that is what Redis is for."""
    other = RedisCounters(valkey.address, hand.wall, timeout_s=PATIENCE_S)

    assert (await counters.admit("a", [PLACE])).is_admitted
    assert (await other.admit("b", [PLACE])).is_admitted
    assert not (await counters.admit("c", [PLACE])).is_admitted

    other.settle("b", Used())
    await other.close()
    assert (await counters.admit("d", [PLACE])).is_admitted


async def test_redis_counts_on_its_own_clock(valkey: RedisServer) -> None:
    """M07: a machine whose clock is wrong neither lets in more nor waits for ever."""
    valkey.run("FLUSHALL")
    counters = RedisCounters(valkey.address, timeout_s=PATIENCE_S)
    rate = Charge("r", CounterKind.REQUESTS, 1, 1, per_s=0.1)
    await counters.admit("a", [rate])

    refused = await counters.admit("b", [rate])

    assert 9.0 < refused.standings[0].wait_s <= 10.0
    stored = valkey.run("GET", "{chat-gateway}:c:r").split()
    assert abs(int(stored[2]) / 1e6 - time.time()) < 5.0
    await counters.close()


async def test_a_clock_of_redis_that_is_set_back_locks_nobody_out(
    counters: RedisCounters, hand: Hand
) -> None:
    """M07: after a failover the clock is another machine's; what comes back comes back as before.

    The clock of a running Redis cannot be set, so the script is given the time here.
    """
    rate = Charge("r", CounterKind.REQUESTS, 1, 1, per_s=0.1)
    await counters.admit("a", [rate, PLACE])
    hand.advance(-3_600.0)

    refused = await counters.admit("b", [rate])
    await counters.renew([])  # and leases end as if they had begun now
    hand.advance(10.0)
    admitted = await counters.admit("c", [rate])
    hand.advance(LEASE_S - 10.0)

    assert refused.standings[0].wait_s == pytest.approx(10.0)
    assert admitted.is_admitted
    assert await remaining(counters, PLACE) == 2


async def test_nothing_stays_for_ever(counters: RedisCounters, valkey: RedisServer) -> None:
    """I14: every key has an end, and what says nothing is not there at all."""
    charges = [
        Charge("r", CounterKind.REQUESTS, 10, 1, per_s=1.0),
        Charge("t", CounterKind.TOKENS, 100, 5, per_s=1.0),
        PLACE,
        quota(5),
    ]
    await counters.admit("a", charges)
    await counters.admit("b", charges)
    counters.settle("a", Used(7))
    await counters.renew(["b"])

    keys = valkey.run("KEYS", "*")
    assert len(keys) == 6
    for key in keys:
        assert key.startswith("{chat-gateway}:")  # one slot: a cluster can run the script
        assert valkey.run("PTTL", key) > 0

    counters.settle("b", Used())
    await counters.renew([])
    assert "{chat-gateway}:c:p" not in valkey.run("KEYS", "*")
    assert valkey.run("KEYS", "{chat-gateway}:h*") == []


async def test_numbers_are_exact_as_far_as_lua_counts(
    counters: RedisCounters, valkey: RedisServer
) -> None:
    """I11: no digit is lost in a number of fifteen digits."""
    large = 9_007_199_254_740_000
    await counters.admit("a", [quota(large - 3, capacity=10**30)])
    counters.settle("a", Used(large - 2))

    admission = await counters.admit("b", [quota(1, capacity=large)])

    assert admission.standings[0].remaining == 1
    assert valkey.run("GET", "{chat-gateway}:c:q").split()[:2] == [str(large - 2), "1"]
    counters.settle("b", Used(10**40))
    refused = await counters.admit("c", [quota(1, capacity=10**40)])
    assert refused.standings[0].remaining == 0
    assert valkey.run("GET", "{chat-gateway}:c:q").split()[0] == str(MOST)


async def test_a_flushed_redis_is_told_what_is_held(
    counters: RedisCounters, valkey: RedisServer
) -> None:
    """J03: with the next heartbeat the places are taken again; until then limits are full."""
    await counters.admit("a", [PLACE, quota(60)])
    await counters.admit("b", [PLACE, quota(10)])
    valkey.run("FLUSHALL")
    assert await remaining(counters, PLACE) == 2

    await counters.renew(["a", "b"])

    assert await remaining(counters, PLACE) == 0
    assert await remaining(counters, quota(1)) == 30
    counters.settle("a", Used(20))
    counters.settle("b", Used(10))
    assert await remaining(counters, PLACE) == 2
    assert await remaining(counters, quota(1)) == 70


async def test_what_was_used_before_a_flush_is_booked_after_it(
    counters: RedisCounters, valkey: RedisServer
) -> None:
    """J03: a hold that Redis has lost is settled all the same."""
    await counters.admit("a", [PLACE, quota(60)])
    valkey.run("FLUSHALL")

    counters.settle("a", Used(40))

    assert await remaining(counters, quota(1)) == 60
    assert await remaining(counters, PLACE) == 2


async def test_of_a_rule_that_is_tried_out_only_what_was_taken_is_told_again(
    counters: RedisCounters, valkey: RedisServer
) -> None:
    """J03: what did not fit was not taken, and is not after a flush either."""
    tried = msgspec.structs.replace(quota(60, capacity=50), key="t", rule=1, is_tried_out=True)
    assert (await counters.admit("a", [PLACE, tried])).is_admitted
    valkey.run("FLUSHALL")

    await counters.renew(["a"])

    assert counters.held == {"a": [PLACE]}
    assert await remaining(counters, msgspec.structs.replace(tried, cost=1)) == 50
    counters.settle("a", Used(20))
    assert await remaining(counters, msgspec.structs.replace(tried, cost=1)) == 50


async def test_who_left_before_they_were_refused_has_used_nothing(counters: RedisCounters) -> None:
    """J05: whoever called settles in any case; what was not taken cannot be booked."""
    asking = asyncio.create_task(counters.admit("a", [quota(200)]))
    await asyncio.sleep(0)

    asking.cancel()
    await asyncio.wait([asking])
    counters.settle("a", Used(7))

    assert await remaining(counters, quota(1)) == 100


async def test_nothing_is_remembered_of_who_was_not_let_in(
    counters: RedisCounters, valkey: RedisServer, hand: Hand
) -> None:
    """A flood of refused requests must not stay in memory, nor one while Redis is gone."""
    away = RedisCounters(RedisAddress("gone", path=f"{valkey.socket}.gone"), hand.wall)

    assert not (await counters.admit("a", [quota(200)])).is_admitted
    with pytest.raises(StoreDownError):
        await away.admit("b", [PLACE])

    assert (counters._held, away._held) == ({}, {})  # noqa: SLF001 - seen nowhere else
    await away.close()


async def test_what_was_let_in_elsewhere_is_taken_at_once(counters: RedisCounters) -> None:
    """J01: by the process alone, while the one question failed that was not answered."""
    counters.adopt("a", [PLACE, quota(60)])

    assert await remaining(counters, PLACE) == 1
    counters.settle("a", Used(20))
    assert await remaining(counters, quota(1)) == 80


async def test_a_thousand_windows_are_recalled_in_pieces(counters: RedisCounters) -> None:
    """J03: no call holds up all others, and none of the windows is left out."""
    windows = [msgspec.structs.replace(quota(1), key=f"q{number}") for number in range(1_001)]
    counters.begins_anew.set()

    await counters.recall((window, 7) for window in windows)

    assert not counters.begins_anew.is_set()
    assert {await remaining(counters, windows[at]) for at in (0, 499, 500, 1_000)} == {93}
    await counters.renew([])
    assert not counters.begins_anew.is_set()  # Redis knows that it was told


async def test_a_counter_of_another_type_is_taken_for_none(
    counters: RedisCounters, valkey: RedisServer
) -> None:
    """J04: somebody's list under the name of a counter refuses nobody."""
    valkey.run("RPUSH", "{chat-gateway}:c:p", "x")
    valkey.run("SET", "{chat-gateway}:c:q", "not a counter")

    assert (await counters.admit("a", [PLACE, quota(60)])).is_admitted
    assert await remaining(counters, PLACE) == 1


async def test_what_is_sent_twice_counts_once(own_redis: RedisServer, hand: Hand) -> None:
    """J02: Redis froze after it was told and before it answered."""
    counters = RedisCounters(own_redis.address, hand.wall)
    came_back = asyncio.Event()
    counters.when_up = came_back.set
    await counters.open()
    await counters.admit("a", [PLACE, quota(50)])
    counters.adopt("b", [PLACE, quota(20)])
    own_redis.freeze()
    counters.settle("a", Used(40))
    counters.settle("b", Used(10))
    with contextlib.suppress(StoreDownError):
        await counters.admit("c", [PLACE, quota(5)])  # it reads what it is sent when it thaws

    own_redis.thaw()
    await came_back.wait()

    assert await remaining(counters, quota(1)) == 50
    assert await remaining(counters, PLACE) == 2
    await counters.close()


async def test_a_full_redis_takes_nothing_by_halves(own_redis: RedisServer, hand: Hand) -> None:
    """J04: out of memory in the middle of a script would be a place that nobody gives back."""
    counters = RedisCounters(own_redis.address, hand.wall)
    came_back = asyncio.Event()
    counters.when_up = came_back.set
    await counters.open()
    await counters.admit("a", [PLACE, quota(10)])
    before = {key: own_redis.run("GET", key) for key in own_redis.run("KEYS", "*c:*")}
    own_redis.run("CONFIG", "SET", "maxmemory", 1)

    with pytest.raises(StoreDownError):
        await counters.admit("b", [PLACE, quota(10)])
    counters.settle("a", Used(10))

    assert before == {key: own_redis.run("GET", key) for key in own_redis.run("KEYS", "*c:*")}
    own_redis.run("CONFIG", "SET", "maxmemory", 0)
    await came_back.wait()
    assert await remaining(counters, quota(1)) == 90
    assert await remaining(counters, PLACE) == 2
    await counters.close()


async def test_a_thousand_lost_holds_are_let_go_in_pieces(
    counters: RedisCounters, hand: Hand
) -> None:
    """I04: a heartbeat ends all that a dead process held; no call has to do it alone."""
    many = Charge("p", CounterKind.PLACES, 1_000, 1)
    await asyncio.gather(*(counters.admit(str(number), [many]) for number in range(1_000)))
    hand.advance(LEASE_S)

    await counters.renew([])

    assert await remaining(counters, many) == 1_000


async def test_a_request_may_count_in_ten_thousand_places(
    counters: RedisCounters, valkey: RedisServer
) -> None:
    """Who is in 256 groups counts in each of them for each number of each rule.

    Lua hands over 8000 values at most: such a request was uncounted, or was counted by halves.
    """
    charges = [Charge(f"p{number}", CounterKind.PLACES, 1, 1) for number in range(10_000)]

    assert (await counters.admit("a", charges)).is_admitted
    assert not (await counters.admit("b", charges[-1:])).is_admitted
    counters.settle("a", Used())

    assert (await counters.admit("c", charges)).is_admitted
    counters.settle("c", Used())
    await counters.close()
    assert valkey.run("KEYS", "{chat-gateway}:c:*") == []


async def test_a_name_that_is_no_text_is_counted_too(counters: RedisCounters) -> None:
    """I17: a token of another issuer may bring half of a surrogate pair."""
    names = [Charge(f"p{name}", CounterKind.PLACES, 1, 1) for name in ("\ud800", "\ud801")]

    assert (await counters.admit("a", names)).is_admitted
    assert not (await counters.admit("b", names[:1])).is_admitted
    counters.settle("a", Used())
    assert (await counters.admit("c", names[1:])).is_admitted


async def test_a_rate_that_takes_ages_is_no_number_that_overflows(
    counters: RedisCounters,
) -> None:
    """I15: a burst of 10^15 tokens at one a minute is full again in two thousand million years."""
    slow = Charge("t", CounterKind.TOKENS, 10**15, 10**15, per_s=1 / 60)
    await counters.admit("a", [slow])
    counters.settle("a", Used(tokens=10**15))

    refused = await counters.admit("b", [slow])

    assert not refused.is_admitted
    assert refused.standings[0].wait_s > DAY_S
    assert refused.standings[0].reset_s > DAY_S


@pytest.mark.parametrize("kind", [CounterKind.REQUESTS, CounterKind.TOKENS])
async def test_gateways_of_two_rates_let_in_no_more_than_the_higher_one(
    counters: RedisCounters, kind: CounterKind
) -> None:
    """While they are restarted one by one: each took the other's rate for a raise."""
    let_in = 0
    for number in range(300):
        rate = 60 if number % 2 else 120
        admission = await counters.admit(str(number), [Charge("x", kind, rate, 1, rate / 60)])
        counters.settle(str(number), Used(1))
        let_in += admission.is_admitted

    assert 60 <= let_in <= 121
