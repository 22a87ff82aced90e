"""Budgets go on where the ledger says."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from typing_extensions import override

from gateway.config.anonymous import AnonymousAuth
from gateway.config.limit_rules import LimitSpec
from gateway.core.tasks import Tasks
from gateway.limits.recall import (
    AT_ONCE,
    find_recallable,
    keep_recalling,
    keep_recalling_shared,
    recall_spent,
    report_forgotten,
)
from gateway.limits.rules import Rule
from gateway.stores.counters import Used
from gateway.stores.errors import StoreDownError
from gateway.stores.ledger import Spent
from gateway.stores.memory_counters import MemoryCounters
from gateway.stores.redis_counters import RedisCounters
from gateway.stores.shared_counters import SharedCounters
from tests.plugins.chain import LogLines
from tests.plugins.counters import MIDNIGHT, PATIENCE_S, Hand
from tests.plugins.purse import ASKED
from tests.plugins.redis_server import RedisServer
from tests.plugins.scene import eventually

ALICE = Spent("alice", "gateway_key", "acme", "groq", "llama", 300, 4_000)
BOB = Spent("bob", "jwt", "acme", "groq", "llama", 50, 600)
NOBODY = Spent("anonymous", "anonymous", "", "groq", "other", 7, 80)


class Ledger:
    """Books that hold the same since the first of the month and since midnight, but for alice."""

    def __init__(self) -> None:
        self.caught_up = asyncio.Event()
        self.caught_up.set()
        self.asked: list[tuple[int, int]] = []
        self.failures = 0

    async def fetch_spent(self, since_ms: int, until_ms: int) -> Sequence[Spent]:
        """What was spent."""
        self.asked.append((since_ms, until_ms))
        if self.failures:
            self.failures -= 1
            raise StoreDownError("gateway.db: no answer")
        return [ALICE, BOB, NOBODY] + [ALICE] * (since_ms < MIDNIGHT * 1_000)


class LargeLedger(Ledger):
    """Books with many rows."""

    @override
    async def fetch_spent(self, since_ms: int, until_ms: int) -> Sequence[Spent]:
        return [ALICE] * (5 * AT_ONCE)


def make_specs(**fields: object) -> list[LimitSpec]:
    """One rule named r."""
    return [LimitSpec.model_validate({"name": "r", "on": "principal", **fields})]


async def left_after(specs: Sequence[LimitSpec], hand: Hand) -> list[int]:
    """What alice has left of each number of the first rule."""
    counters = MemoryCounters(hand.clock, hand.wall)
    await recall_spent(find_recallable(specs), counters, Ledger(), until=hand.wall())
    rule = Rule(specs[0], 0)
    uses = rule.uses(rule.find_counters(ASKED), ASKED, 50, hand.wall())
    charges = [msgspec.structs.replace(use.charge, cost=0) for use in uses]
    return [standing.remaining for standing in (await counters.admit("a", charges)).standings]


@pytest.fixture
def later() -> Hand:
    """Noon of the third day of a month."""
    return Hand(wall_ahead=MIDNIGHT - 1_000.0 + 2.5 * 86_400)


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"tokens_per_day": 1_000}, [400]),
        ({"money_per_day": Decimal("0.01")}, [2_000]),
        ({"on": "everything", "tokens_per_day": 1_000}, [343]),
        ({"on": "everything", "match": {"key": "alice"}, "tokens_per_day": 1_000}, [400]),
        ({"on": "everything", "match": {"principal": "bob"}, "tokens_per_day": 1_000}, [950]),
        ({"on": ["tenant", "model"], "tokens_per_day": 1_000}, [350]),
        ({"on": "key", "tokens_per_day": 1_000, "tokens_per_minute": 500}, [500, 400]),
    ],
)
async def test_what_was_spent_counts_as_if_it_had_been_counted(
    fields: dict[str, object], left: list[int]
) -> None:
    """J03: a restart is no way to a second budget."""
    hand = Hand(wall_ahead=MIDNIGHT - 1_000.0 - 3_600)

    assert await left_after(make_specs(**fields), hand) == left


async def test_each_window_has_sums_of_its_own(later: Hand) -> None:
    """The day's are not the month's."""
    specs = make_specs(tokens_per_day=1_000, tokens_per_month=1_000)
    ledger = Ledger()

    await recall_spent(
        find_recallable(specs), MemoryCounters(later.clock, later.wall), ledger, until=later.wall()
    )

    now = int(later.wall() * 1_000)
    first, today = int(MIDNIGHT * 1_000), int((MIDNIGHT + 2 * 86_400) * 1_000)
    assert ledger.asked == [(first, now), (today, now)]


async def test_requests_have_their_turns_meanwhile(hand: Hand) -> None:
    """Twenty thousand callers took two seconds at once, each time that Redis came back."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(count_turns())
    counters = MemoryCounters(hand.clock, hand.wall)
    rules = find_recallable(make_specs(tokens_per_day=1_000))
    await recall_spent(rules, counters, LargeLedger(), until=hand.wall())
    others.cancel()

    assert turns >= 5


async def test_those_without_a_key_have_theirs(hand: Hand) -> None:
    """And nobody else's."""
    entry = {"kind": "anonymous", "requests_per_minute": 9, "concurrent": 9, "tokens_per_day": 100}
    specs = AnonymousAuth.model_validate(entry).rules
    counters = MemoryCounters(hand.clock, hand.wall)
    await recall_spent(find_recallable(specs), counters, Ledger(), until=MIDNIGHT + 5)

    assert len(counters) == 1


def test_what_the_ledger_does_not_tell_apart_begins_anew() -> None:
    """Groups and addresses, and whatever is no day and no month."""
    day = {"tokens_per_day": 5}

    assert find_recallable(make_specs(on="group", **day)) == []
    assert find_recallable(make_specs(on=["address", "model"], **day)) == []
    assert find_recallable(make_specs(match={"group": "staff"}, **day)) == []
    assert find_recallable(make_specs(concurrent=5, tokens_per_minute=5)) == []
    assert [rule.name for rule in find_recallable(make_specs(**day))] == ["r"]


async def test_it_is_tried_until_the_ledger_answers(hand: Hand, log_lines: LogLines) -> None:
    """J07: and counted once, up to the moment of the start."""
    ledger = Ledger()
    ledger.failures = 3
    counters = MemoryCounters(hand.clock, hand.wall)
    specs = make_specs(tokens_per_day=1_000)

    await keep_recalling(find_recallable(specs), counters, ledger, hand.wall, again_s=0.001)

    assert len(set(ledger.asked)) == 1
    assert len(ledger.asked) == 4
    assert len(counters) == 3
    said = [(line["event"], line["level"]) for line in log_lines.lines]
    assert said == [("limits.recall_failed", "warning"), ("limits.recalled", "info")]
    assert log_lines.lines[0]["reason"] == "gateway.db: no answer"
    assert log_lines.lines[1]["rules"] == ["r"]


async def test_what_others_left_behind_is_waited_for(hand: Hand) -> None:
    """A process that was killed has rows in its journal."""
    ledger = Ledger()
    ledger.caught_up.clear()
    rules = find_recallable(make_specs(tokens_per_day=1_000))
    recalling = asyncio.ensure_future(keep_recalling(rules, MemoryCounters(), ledger, hand.wall))
    for _ in range(5):
        await asyncio.sleep(0)
    assert ledger.asked == []

    ledger.caught_up.set()
    await recalling

    assert len(ledger.asked) == 1


async def test_a_redis_that_begins_anew_is_told_what_was_spent(
    valkey: RedisServer, later: Hand
) -> None:
    """J03: new, or flushed: budgets come from the ledger, and nothing of them counts twice."""
    valkey.run("FLUSHALL")
    redis = RedisCounters(valkey.address, later.wall, timeout_s=PATIENCE_S)
    shared = SharedCounters(redis, shares=1, clock=later.clock, wall=later.wall)
    await shared.open()
    specs = make_specs(tokens_per_day=1_000)
    tasks = Tasks(lambda *_: None)
    rules = find_recallable(specs)
    tasks.spawn("recall", keep_recalling_shared(rules, shared, Ledger(), later.wall))
    rule = Rule(specs[0], 0)
    [use] = rule.uses(rule.find_counters(ASKED), ASKED, 50, later.wall())
    key = f"{{chat-gateway}}:c:{use.charge.key}"

    for _ in range(2):
        await eventually(lambda: valkey.run("EXISTS", "{chat-gateway}:recalled") == 1)
        assert valkey.run("GET", key).split()[0] == "300"
        await shared.admit("a", [use.charge])
        shared.settle("a", Used(400))
        await shared.renew([])
        await eventually(lambda: valkey.run("GET", key).split()[0] == "700")
        valkey.run("FLUSHALL")
        await shared.renew([])

    await tasks.cancel()
    await shared.close()


async def test_a_rule_that_redis_has_not_heard_of_is_told_at_the_start(
    valkey: RedisServer, later: Hand
) -> None:
    """J03: a budget that is written on the twentieth counts from the first, as in memory."""
    valkey.run("FLUSHALL")
    valkey.run("SET", "{chat-gateway}:recalled", "by a gateway without the rule")
    redis = RedisCounters(valkey.address, later.wall, timeout_s=PATIENCE_S)
    shared = SharedCounters(redis, shares=1, clock=later.clock, wall=later.wall)
    await shared.open()
    specs = make_specs(tokens_per_day=1_000)
    tasks = Tasks(lambda *_: None)
    rules = find_recallable(specs)
    tasks.spawn("recall", keep_recalling_shared(rules, shared, Ledger(), later.wall))
    rule = Rule(specs[0], 0)
    [use] = rule.uses(rule.find_counters(ASKED), ASKED, 50, later.wall())
    key = f"{{chat-gateway}}:c:{use.charge.key}"

    await eventually(lambda: valkey.run("EXISTS", key) == 1)

    assert valkey.run("GET", key).split()[0] == "300"
    await tasks.cancel()
    await shared.close()


def test_rules_that_begin_anew_are_named(log_lines: LogLines) -> None:
    """Whoever relies on them should not hear of it from an invoice."""
    report_forgotten(
        [
            *make_specs(tokens_per_day=1_000),
            *make_specs(name="crowd", on="group", money_per_month=Decimal(1)),
            *make_specs(name="home", on="address", tokens_per_day=1_000),
            *make_specs(name="staff", match={"group": "staff"}, tokens_per_day=1_000),
            *make_specs(name="pace", on="address", requests_per_minute=1),
        ]
    )
    report_forgotten(make_specs(tokens_per_day=1_000))

    (line,) = log_lines.find("limits.begun_anew")
    assert line["rules"] == ["crowd", "home", "staff"]
