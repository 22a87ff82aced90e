"""Limits are kept for as long as the gateway runs."""

import asyncio

import pytest

from gateway.config.limit_rules import LimitSpec
from gateway.core.exchange import Exchange
from gateway.core.tasks import Tasks
from gateway.limits.limiter import Limiter
from gateway.limits.opening import recalling, renew_holds
from gateway.stores.counters import LEASE_S
from gateway.stores.memory_counters import MemoryCounters
from tests.plugins.chain import LogLines
from tests.plugins.counters import Hand
from tests.unit.limits.test_rules import ASKED


def report_crash(task: str, error: BaseException) -> None:
    """No task may crash."""
    raise AssertionError(f"{task}: {error!r}")


async def test_what_is_in_flight_keeps_its_place(hand: Hand) -> None:
    """An answer may take an hour, and a lease is half a minute."""
    counters = MemoryCounters(hand.clock, hand.wall)
    limiter = Limiter([LimitSpec(name="few", on="everything", concurrent=1)], counters)
    tasks = Tasks(report_crash)
    await limiter.admit(Exchange("a", 1.0, "POST", "/", "unix", ()), ASKED)
    tasks.spawn("renew_holds", renew_holds(limiter, every_s=0))

    for _ in range(12):
        hand.advance(LEASE_S / 3)
        for _ in range(3):
            await asyncio.sleep(0)

    await tasks.cancel()
    grant = await limiter.admit(Exchange("b", 1.0, "POST", "/", "unix", ()), ASKED)
    assert grant.refusal is not None


@pytest.mark.parametrize("name", ["by-day", "by-minute"])
async def test_without_a_ledger_nothing_is_waited_for(log_lines: LogLines, name: str) -> None:
    """There is nobody who could tell what was spent."""
    caps = {"by-day": {"tokens_per_day": 5}, "by-minute": {"tokens_per_minute": 5}}[name]
    spec = LimitSpec.model_validate({"name": name, "on": "principal", **caps})

    async with recalling([spec], MemoryCounters(), None, report_crash):
        assert log_lines.lines == []
