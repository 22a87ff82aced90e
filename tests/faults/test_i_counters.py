"""Group I: what counters remember, through the whole gateway, on a clock that the test moves.

The rule here: a counter that refuses somebody can say who has used it up, and when.
"""

import asyncio
from typing import Any

import msgspec

from gateway.config.limit_rules import LimitSpec
from gateway.core.exchange import Exchange, Outcome
from gateway.core.usage import Usage
from gateway.limits.limiter import Limiter
from gateway.limits.plans import PLANS_MAX
from gateway.stores.memory_counters import MemoryCounters
from tests.faults.conftest import OpenScene
from tests.faults.test_i_limits import left_of, open_limited, places_taken
from tests.plugins.counters import Hand
from tests.plugins.purse import ASKED
from tests.plugins.scene import error_of, eventually, header_of

STALLED: dict[str, Any] = {"count": 5, "stall": {"after_tokens": 2}}
HOUR_S = 3_600.0


def make_counters() -> tuple[MemoryCounters, Hand]:
    """Counters in memory, and the hand of their clocks."""
    hand = Hand()
    return MemoryCounters(hand.clock, hand.wall), hand


async def test_no_minute_begins_anew(open_scene: OpenScene) -> None:
    """I02: a window that is fixed lets twice as many through around its end."""
    counters, hand = make_counters()
    scene = await open_limited(
        open_scene, {"requests_per_minute": 10}, counters=counters, recovers=False
    )
    statuses: list[int] = []
    for wait_s in (59.9, 0.2):  # to both sides of a full minute
        hand.advance(wait_s)
        statuses += [(await scene.ask("plain")).status for _ in range(10)]

    assert statuses == [200] * 10 + [429] * 10
    hand.advance(5.8)  # one of ten has come back since the first
    assert [(await scene.ask("plain")).status for _ in range(2)] == [200, 429]


async def test_a_refusal_for_want_of_a_place_burns_nothing_else(open_scene: OpenScene) -> None:
    """I03: who hammers at a full gateway has their minute and their day before them."""
    scene = await open_limited(
        open_scene,
        {"concurrent": 1},
        {"requests_per_minute": 100, "tokens_per_day": 100_000},
        recovers=False,
    )
    async with scene.call(STALLED) as caller:
        await caller.read_until(b"word1")
        refused = [await scene.ask("plain") for _ in range(20)]
        caller.hang_up()
    await eventually(lambda: places_taken(scene) == 0, "the place is free")

    assert {error_of(heard) for heard in refused} == {(429, "concurrency_exceeded")}
    after = await scene.ask("plain", max_tokens=1)
    assert int(header_of(after, "x-ratelimit-remaining-requests") or 0) >= 98
    assert left_of(after, "r1-day") > 99_800


async def test_a_limit_that_was_lowered_below_what_is_used_holds(open_scene: OpenScene) -> None:
    """I13: nobody is thrown out, no number is negative, and what is open can end."""
    counters, hand = make_counters()
    match = {"match": {"provider": "sim"}}
    before = [
        LimitSpec.model_validate({"name": "r0", "on": "principal", **match, "concurrent": 9}),
        LimitSpec.model_validate({"name": "r1", "on": "principal", **match, "tokens_per_day": 900}),
    ]
    limiter = Limiter(before, counters, hand.wall)
    asked = msgspec.structs.replace(ASKED, provider="sim", prompt_tokens=1, output_tokens=100)
    open_now = [Exchange("r", 1.0, "POST", "/", "u", (limiter.settle,)) for _ in range(4)]
    for exchange in open_now:
        assert (await limiter.admit(exchange, asked)).refusal is None

    scene = await open_limited(
        open_scene, {"concurrent": 2}, {"tokens_per_day": 300}, counters=counters, recovers=False
    )
    refused = await scene.ask("plain")

    assert refused.status == 429
    assert (left_of(refused, "r0-concurrent"), left_of(refused, "r1-day")) == (0, 0)
    for exchange in open_now:
        exchange.note_usage(Usage(1, 10, "provider"))
        exchange.settle(Outcome.FINISHED, at=2.0)
    served = await scene.ask("plain", max_tokens=1)
    assert served.status == 200
    assert left_of(served, "r0-concurrent") == 1


async def test_memory_is_for_who_calls_and_not_for_who_has_called() -> None:
    """I14: ten thousand callers, a hundred at a time, of names that never come again."""
    counters, hand = make_counters()
    rule = {"requests_per_minute": 60, "tokens_per_minute": 6_000, "concurrent": 2}
    spec = LimitSpec.model_validate({"name": "r", "on": ["principal", "model"], **rule})
    limiter = Limiter([spec], counters, hand.wall)
    largest = 0
    for number in range(10_000):
        asked = msgspec.structs.replace(ASKED, principal=f"p{number}", model=f"m{number}")
        exchange = Exchange("r", 1.0, "POST", "/", "u", (limiter.settle,))
        assert (await limiter.admit(exchange, asked)).refusal is None
        exchange.note_usage(Usage(10, 10, "provider"))
        exchange.settle(Outcome.FINISHED, at=2.0)
        hand.advance(0.01)  # a request comes back in a second
        largest = max(largest, len(counters))

    assert largest < 1_000
    assert len(limiter._plans._plans) <= PLANS_MAX  # noqa: SLF001 - it is memory, and has no other sign


async def test_with_no_traffic_nothing_is_left_that_could_refuse(open_scene: OpenScene) -> None:
    """I17: after faults of every sort and an hour's peace, what is missing is in the log."""
    counters, hand = make_counters()
    rule = {"requests_per_minute": 60, "tokens_per_minute": 600_000, "concurrent": 5}
    scene = await open_limited(
        open_scene,
        {**rule, "tokens_per_day": 1_000_000, "stop_streams": True},
        counters=counters,
        recovers=False,
    )
    faults: list[Any] = ["cut", "no-done", "cut-before-head", {"error": {"status": 500}}, "plain"]
    await asyncio.gather(*(scene.ask(fault) for fault in faults))
    for _ in range(3):
        async with scene.call(STALLED) as caller:
            await caller.read_until(b"word1")
            caller.hang_up()
    await eventually(lambda: scene.gateway.is_quiet, "all of it is settled")

    lines = [line for line in scene.gateway.log.settled if line["provider"] == "sim"]
    booked = sum((line["tokens_in"] or 0) + (line["tokens_out"] or 0) for line in lines)

    hand.advance(HOUR_S)

    after = await scene.ask("plain", max_tokens=1)
    assert (left_of(after, "r0-requests"), left_of(after, "r0-concurrent")) == (59, 4)
    assert left_of(after, "r0-tokens") > 599_900
    assert 0 <= 1_000_000 - booked - left_of(after, "r0-day") < 100
