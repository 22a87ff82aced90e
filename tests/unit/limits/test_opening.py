"""Limits are kept for as long as the gateway runs."""

import asyncio

import pytest

from gateway.config.limit_rules import LimitSpec
from gateway.core.exchange import Exchange
from gateway.core.tasks import Tasks
from gateway.limits.limiter import Limiter
from gateway.limits.opening import keep_holds, recalling
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

    async with keep_holds(limiter, counters, tasks, every_s=0):
        await limiter.admit(Exchange("a", 1.0, "POST", "/", "unix", ()), ASKED)
        for _ in range(12):
            hand.advance(LEASE_S / 3)
            for _ in range(3):
                await asyncio.sleep(0)

        grant = await limiter.admit(Exchange("b", 1.0, "POST", "/", "unix", ()), ASKED)
        assert grant.refusal is not None
    assert len(tasks) == 0


@pytest.mark.parametrize("name", ["by-day", "by-minute"])
async def test_without_a_ledger_nothing_is_waited_for(log_lines: LogLines, name: str) -> None:
    """There is nobody who could tell what was spent."""
    caps = {"by-day": {"tokens_per_day": 5}, "by-minute": {"tokens_per_minute": 5}}[name]
    spec = LimitSpec.model_validate({"name": name, "on": "principal", **caps})

    async with recalling([spec], MemoryCounters(), None, report_crash):
        assert log_lines.lines == []


async def test_rules_that_nobody_can_tell_of_are_named(log_lines: LogLines) -> None:
    """Their day begins anew with every start, and whoever runs the gateway should know."""
    spec = LimitSpec(name="by-group", on="group", tokens_per_day=5)

    async with recalling([spec], MemoryCounters(), None, report_crash):
        (line,) = log_lines.find("limits.begun_anew")

    assert line["rules"] == ["by-group"]
