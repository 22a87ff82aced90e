"""Group I: money, and streams that are stopped, through the whole gateway.

The rule here: every rule is for the provider `sim`, whose model `m` costs a dollar for a million
tokens in and ten for a million out.
"""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.core.cost import FREE_VERSION
from gateway.stores.counters import LEASE_S
from gateway.stores.memory_counters import MemoryCounters
from gateway.stores.opening import open_ledger_store
from tests.faults.conftest import OpenScene
from tests.faults.test_i_limits import left_of, open_limited
from tests.plugins.counters import Hand
from tests.plugins.gateway import StartGateway
from tests.plugins.ledgers import new_attempt, new_row
from tests.plugins.raw_caller import Heard
from tests.plugins.scene import (
    CHAT,
    PATHS,
    V1,
    Scene,
    error_of,
    eventually,
    header_of,
    last_event_of,
)
from tests.plugins.stored_keys import ENVIRON, spec_of

MODEL = {"id": "m", "price_in_usd_per_mtok": 1, "price_out_usd_per_mtok": 10}
PRICED: dict[str, Any] = {"models": [MODEL]}
BUDGET = 1_000_000  # micros of a dollar


async def open_priced(open_scene: OpenScene, *rules: dict[str, Any], **parts: Any) -> Scene:
    """A scene whose model has a price."""
    # It does not recover: of the usual requests at the end some ask for models without a price.
    return await open_limited(open_scene, *rules, **{"recovers": False, **PRICED, **parts})


async def ask(scene: Scene, directive: Any, path: str = V1, **fields: Any) -> Heard:
    """One request for the model that has a price."""
    if path == CHAT:
        scene.simulator.script(directive or {"text": "Hello"})
        return await scene.ask(None, CHAT, chatSettings={"model": "m"}, **fields)
    return await scene.ask(directive, **fields)


def usage(tokens_in: int, tokens_out: int, **more: Any) -> dict[str, Any]:
    """What the provider says."""
    values = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, **more}
    return {"usage_values": values}


@pytest.mark.parametrize("path", PATHS)
async def test_a_budget_that_is_spent_is_402_until_it_resets(
    open_scene: OpenScene, path: str
) -> None:
    """I10: what an answer really cost is a debt; nobody is let in before the day is over."""
    hand = Hand()
    counters = MemoryCounters(hand.clock, hand.wall)
    rule = {"money_per_day": 1, "time_zone": "Europe/Paris"}
    scene = await open_priced(open_scene, rule, counters=counters)

    dear = await ask(scene, usage(500_000, 90_000), path)
    refused = await ask(scene, {}, path)

    assert dear.is_whole
    assert error_of(refused) == (402, "budget_exceeded")
    assert header_of(refused, "x-should-retry") == "false"
    assert int(header_of(refused, "retry-after") or 0) > 1
    message = refused.json.get("message") or refused.json["error"]["message"]
    assert message.startswith("The rule r0 allows 1.00 USD a day for each principal, 0.00 USD are")
    assert "the next day begins at " in message
    assert "(Europe/Paris)" in message
    assert scene.upstream_requests == 1
    line = await scene.settled(2)
    assert (line["outcome"], line["refused_by"]) == ("rejected", "r0")
    assert (await scene.settled(1))["cost_micros"] == 1_400_000


async def test_the_log_the_header_and_the_metrics_say_the_same(open_scene: OpenScene) -> None:
    """I11: to the micro."""
    scene = await open_priced(open_scene, {"money_per_day": 1})
    await ask(scene, usage(1_000, 50, prompt_tokens_details={"cached_tokens": 900}))

    line = await scene.settled(1)
    after = await ask(scene, {}, max_tokens=10)

    assert (line["cost_micros"], line["tokens_cached"]) == (1_500, 900)
    assert 'gateway_cost_micros_total{provider="sim",model="m"} 1' in scene.gateway.metrics
    held = BUDGET - 1_500 - left_of(after, "r0-money-day")
    assert 100 < held < 200  # ten tokens, and a prompt of a few dozen
    for name in ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"):
        assert header_of(after, name) is None


@pytest.mark.parametrize(
    ("cost", "micros"),
    [
        ({"cost": 0.25}, 250_000),
        ({"cost": 0}, 0),
        ({"cost": -1}, 1_500),
        ({"cost": 10**9}, 1_500),
        ({"cost": "0.0000005"}, 1),
        ({"cost_in_usd_ticks": 37_756_000}, 3_776),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_provider_charges_is_what_is_booked(
    open_scene: OpenScene, cost: dict[str, Any], micros: int, *, stream: bool
) -> None:
    """I11: it knows its own bill, unless what it says cannot be."""
    scene = await open_priced(open_scene, {"money_per_day": 1})

    await ask(scene, usage(1_000, 50, **cost), stream=stream)

    assert (await scene.settled(1))["cost_micros"] == micros
    after = await ask(scene, {}, max_tokens=1)
    assert 0 <= BUDGET - micros - left_of(after, "r0-money-day") < 100


async def test_parallel_requests_never_spend_more_than_the_budget(open_scene: OpenScene) -> None:
    """I01: 40 at once on money for four; every one that is let in keeps to what it set aside."""
    scene = await open_priced(open_scene, {"money_per_day": "0.0041"})
    directive = {"count": 100, "obey_max_tokens": True, "gap_s": 0.001}

    heard = await asyncio.gather(*(ask(scene, directive, max_tokens=90) for _ in range(40)))

    statuses = [one.status for one in heard]
    assert (statuses.count(200), statuses.count(402)) == (4, 36)
    assert scene.upstream_requests == 4
    lines = [await scene.settled(number + 1) for number in range(40)]
    assert sum(line["cost_micros"] or 0 for line in lines) <= 4_100


@pytest.mark.parametrize("path", PATHS)
async def test_what_may_cost_more_than_there_ever_is_is_400(
    open_scene: OpenScene, path: str
) -> None:
    """I15: told at once, in money."""
    scene = await open_priced(open_scene, {"money_per_month": "0.00001"})

    heard = await ask(scene, {}, path)

    assert error_of(heard) == (400, "request_never_fits")
    assert header_of(heard, "retry-after") is None
    assert scene.upstream_requests == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_model_without_a_price_is_refused(open_scene: OpenScene, path: str) -> None:
    """I11: a rule about money is not passed by asking for a model that nobody has priced."""
    scene = await open_limited(open_scene, {"money_per_day": 1}, recovers=False)

    heard = await scene.ask("plain", path)

    assert error_of(heard) == (403, "model_unpriced")
    assert scene.upstream_requests == 0


async def test_what_the_simulator_says_is_free(start_gateway: StartGateway) -> None:
    """I11: whoever tries a budget out asks the demo for a preset, which nobody has priced."""
    rule = {"name": "r0", "on": "everything", "money_per_day": 1}
    gateway = await start_gateway(
        providers={"demo": {"base_url": "simulator:"}},
        settings={"limits": [rule]},
    )
    body = {"model": "demo/plain", "messages": [{"role": "user", "content": "Hi"}]}

    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/v1/chat/completions", json=body) as heard,
    ):
        await heard.read()

    (line,) = await gateway.log.wait_for_settled()
    assert (heard.status, line["cost_micros"]) == (200, 0)
    assert line["price_version"] == FREE_VERSION


async def test_a_model_without_a_price_may_be_let_through(open_scene: OpenScene) -> None:
    """I11: what the provider charges is booked then; without that nothing is, and it is counted."""
    scene = await open_limited(open_scene, {"money_per_day": 1, "unpriced": "allow"})

    await scene.ask(usage(10, 5, cost=0.4))
    await scene.ask("plain")

    lines = [await scene.settled(number) for number in (1, 2)]
    assert [line["cost_micros"] for line in lines] == [400_000, None]
    assert lines[1]["price_version"] is None
    assert 'gateway_unpriced_exchanges_total{provider="sim",model="m"} 1.0' in scene.gateway.metrics
    after = await scene.ask("plain")
    assert left_of(after, "r0-money-day") == 600_000 - 1  # the least is set aside


async def test_a_budget_that_is_tried_out_refuses_nobody(open_scene: OpenScene) -> None:
    """I12: an operator sees whom it would have refused."""
    scene = await open_priced(open_scene, {"money_per_day": "0.02", "dry_run": True})

    for _ in range(2):
        assert (await ask(scene, usage(10_000, 5_000))).status == 200

    lines = [await scene.settled(number) for number in (1, 2)]
    assert [line["would_refuse"] for line in lines] == [None, ["r0"]]


async def test_both_attempts_are_paid_for(open_scene: OpenScene) -> None:
    """I09: one request, two attempts, the cost of both, settled once."""
    scene = await open_priced(open_scene, {"money_per_day": 1, "tokens_per_day": 10_000}, retries=1)
    first = {"events": [{"choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 1}}]}
    first["done"] = "never"

    heard = await ask(scene, {**first, "then": [usage(1_000, 50)]})

    line = await scene.settled(1)
    assert (heard.status, line["attempts"], line["outcome"]) == (200, 2, "finished")
    assert (line["tokens_in"], line["tokens_out"]) == (2_000, 51)
    assert line["cost_micros"] == 1_010 + 1_500


@pytest.mark.parametrize("place", [0, 1, 50, 99, 100])
@pytest.mark.parametrize("policy", ["cancel", "drain"])
async def test_a_caller_who_leaves_pays_for_what_was_made(
    open_scene: OpenScene, policy: str, place: int
) -> None:
    """I07: at 0 %, 1 %, 50 %, 99 % and between the last token and the usage."""
    scene = await open_priced(open_scene, {"money_per_day": 1}, on_client_gone=policy)
    directive = {
        "count": 100,
        "stall": {**({"after_tokens": place} if place else {"at": "before_head"}), "for_s": 0.2},
    }

    async with scene.call(directive) as caller:
        if place:
            await caller.read_until(f"word{place - 1}".encode())
        else:
            await scene.simulator.journal.wait_for(lambda one: one.received_s > 0)
        caller.hang_up()
        await eventually(lambda: scene.gateway.is_quiet, "it is settled")

    line = await scene.settled(1)
    assert line["outcome"] == "client_gone"
    if policy == "drain":
        assert (line["tokens_source"], line["tokens_out"]) == ("provider", 100)
    else:
        assert line["tokens_source"] == "estimate"
        assert place <= line["tokens_out"] <= 2 * place + 2
    assert line["cost_micros"] == line["tokens_in"] + 10 * line["tokens_out"]
    after = await ask(scene, {}, max_tokens=1)
    assert 0 <= BUDGET - line["cost_micros"] - left_of(after, "r0-money-day") < 100


async def test_a_provider_that_fails_half_way_is_paid_for_what_it_sent(
    open_scene: OpenScene,
) -> None:
    """I08: and what failed before the first word costs nothing."""
    scene = await open_priced(open_scene, {"money_per_day": 1})

    await ask(scene, {"count": 50, "cut": {"after_tokens": 10}})
    await ask(scene, {"error": {"status": 500}})

    lines = [await scene.settled(number) for number in (1, 2)]
    assert 10 <= lines[0]["tokens_out"] <= 16
    assert lines[0]["cost_micros"] == lines[0]["tokens_in"] + 10 * lines[0]["tokens_out"]
    assert lines[1]["cost_micros"] is None


STOPPING: list[tuple[dict[str, Any], str]] = [
    ({"tokens_per_day": 150}, "token_quota_exceeded"),
    ({"tokens_per_month": 150}, "token_quota_exceeded"),
    ({"tokens_per_minute": 150}, "token_rate_exceeded"),
    ({"money_per_day": "0.0015"}, "budget_exceeded"),
]
ENDLESS = {"count": 5_000, "gap_s": 0.0005}


@pytest.mark.parametrize(("rule", "code"), STOPPING)
@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_is_stopped_when_its_rule_has_nothing_left(
    open_scene: OpenScene, rule: dict[str, Any], code: str, path: str
) -> None:
    """I10: as a failure in the caller's dialect; the provider is let go, what came is booked."""
    scene = await open_priced(open_scene, {**rule, "stop_streams": True})

    heard = await ask(scene, ENDLESS, path)

    assert heard.status == 200
    assert not heard.is_whole
    line = await scene.settled(1)
    assert (line["outcome"], line["error_code"], line["refused_by"]) == (
        "policy_stopped",
        code,
        "r0",
    )
    used = (
        line["cost_micros"] if "money_per_day" in rule else line["tokens_in"] + line["tokens_out"]
    )
    assert 150 < used < 170 or 1_500 < used < 1_700
    if path == V1:
        error = last_event_of(heard)["error"]
        assert error["code"] == code
        assert error["message"].startswith("The answer was stopped: it has used what the rule r0 ")
    await eventually(lambda: not scene.simulator.journal.open, "the provider is let go")
    assert scene.simulator.journal.last.peer_left.is_set()


async def test_a_stream_goes_on_while_its_rule_has_more(open_scene: OpenScene) -> None:
    """It sets aside a guess, and takes more of what is there before that is used."""
    rule = {"tokens_per_day": 100_000, "money_per_day": 10, "reserve_output_tokens": 64}
    scene = await open_priced(open_scene, {**rule, "stop_streams": True})

    # Each comes by itself, and so takes the way of a chunk that needs no parsing.
    heard = await ask(scene, {"count": 300, "gap_s": 0.001})

    assert heard.is_whole
    assert re.findall(rb'"content":" (word\d+)"', heard.body) == [b"word%d" % n for n in range(300)]
    line = await scene.settled(1)
    assert (line["tokens_out"], line["chunks"]) == (300, 300)
    after = await ask(scene, {}, max_tokens=1)
    used = line["tokens_in"] + line["tokens_out"]
    assert 0 <= 100_000 - used - left_of(after, "r0-day") < 100


async def test_streams_that_are_stopped_share_what_there_is(open_scene: OpenScene) -> None:
    """I01: ten at once on one quota; together they use it up, and hardly more."""
    rule = {"tokens_per_day": 2_000, "reserve_output_tokens": 20, "stop_streams": True}
    scene = await open_priced(open_scene, rule)

    heard = await asyncio.gather(*(ask(scene, ENDLESS) for _ in range(10)))

    assert [one.status for one in heard] == [200] * 10
    lines = [await scene.settled(number + 1) for number in range(10)]
    used = sum(line["tokens_in"] + line["tokens_out"] for line in lines)
    assert {line["outcome"] for line in lines} == {"policy_stopped"}
    assert 1_900 < used < 2_000 + 10 * 20


async def test_without_the_word_a_stream_runs_into_debt(open_scene: OpenScene) -> None:
    """I10: what is being answered is answered, unless the rule says otherwise."""
    scene = await open_priced(open_scene, {"tokens_per_day": 150})

    heard = await ask(scene, {"count": 500})

    assert heard.is_whole
    assert error_of(await ask(scene, {})) == (429, "token_quota_exceeded")


async def test_a_rule_that_is_tried_out_stops_nothing(open_scene: OpenScene) -> None:
    """I12: it says that it would have."""
    rule = {"tokens_per_day": 150, "stop_streams": True, "dry_run": True}
    scene = await open_priced(open_scene, rule)

    heard = await ask(scene, {"count": 500, "gap_s": 0.0005})

    assert heard.is_whole
    line = await scene.settled(1)
    assert (line["outcome"], line["would_refuse"]) == ("finished", ["r0"])


async def test_an_answer_that_is_all_there_is_not_stopped_for_its_count(
    open_scene: OpenScene,
) -> None:
    """The provider counts more than we did, when there is nothing left to save."""
    scene = await open_priced(
        open_scene, {"tokens_per_day": 150, "stop_streams": True}, recovers=False
    )

    heard = await ask(scene, usage(1_000, 1_000))

    assert heard.is_whole
    assert (await scene.settled(1))["outcome"] == "finished"


async def test_a_provider_that_counts_as_it_goes_is_believed(open_scene: OpenScene) -> None:
    """Its count stops the stream, not our estimate."""
    scene = await open_priced(
        open_scene, {"tokens_per_day": 5_000, "stop_streams": True}, recovers=False
    )
    directive = {**ENDLESS, "usage": "every", **usage(4_990, 20)}

    heard = await ask(scene, directive)

    assert not heard.is_whole
    assert (await scene.settled(1))["tokens_in"] == 4_990


async def test_what_is_thought_and_not_shown_is_stopped_as_a_refusal(
    open_scene: OpenScene,
) -> None:
    """On `/api/chat` reasoning is not shown: the head has not left, so it is a proper status."""
    scene = await open_priced(
        open_scene, {"tokens_per_day": 150, "stop_streams": True}, recovers=False
    )
    directive = {"reasoning": [" hm"] * 1_000, "gap_s": 0.0005}

    heard = await ask(scene, directive, CHAT)

    assert error_of(heard) == (429, "token_quota_exceeded")
    line = await scene.settled(1)
    assert (line["outcome"], line["attempts"]) == ("policy_stopped", 1)
    assert line["tokens_out"] > 50


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_who_leaves_while_more_is_taken_leaves_nothing_behind(
    open_scene: OpenScene, turns: int
) -> None:
    """I05: whatever was taken for the stream is given back with the rest."""
    hand = Hand()
    rule = {"tokens_per_day": 1_000, "reserve_output_tokens": 1, "stop_streams": True}
    scene = await open_priced(
        open_scene, rule, counters=MemoryCounters(hand.clock, hand.wall), recovers=False
    )

    async with scene.call({"count": 300, "gap_s": 0.001}) as caller:
        await caller.read_until(b"word5")
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.hang_up()
        await eventually(lambda: scene.gateway.is_quiet, "it is settled")

    line = await scene.settled(1)
    hand.advance(LEASE_S * 2)  # what nobody renews would count as used by now
    after = await ask(scene, {}, max_tokens=1)
    used = line["tokens_in"] + line["tokens_out"]
    own = len(json.dumps(json.loads(scene.simulator.journal.last.body))) // 4 + 2
    assert 0 <= 1_000 - used - left_of(after, "r0-day") <= own


async def test_a_restart_is_no_way_to_a_second_budget(
    open_scene: OpenScene, tmp_path: Path
) -> None:
    """J03: what was spent before is in the ledger, and counts."""
    address = f"sqlite:///{tmp_path / 'books.db'}"
    used = {"tokens_in": 1_000, "tokens_out": 50, "cost_micros": 1_500}
    charged = {**used, "provider_cost_micros": 250_000}
    rows = [
        new_row(
            f"p-{number}", attempts=(new_attempt(1, one),), started_at_ms=int(time.time() * 1e3)
        )
        for number, one in enumerate([used, charged])
    ]
    store = await open_ledger_store(spec_of(address), ENVIRON, timeout_s=10)
    await store.save(rows)
    await store.close()
    rule = {"money_per_month": 1, "tokens_per_day": 10_000}

    scene = await open_priced(open_scene, rule, settings={"stores": {"database": address}})

    after = await ask(scene, {}, max_tokens=1)
    spent = BUDGET - left_of(after, "r0-money-month")
    assert 251_500 <= spent < 251_600
    assert 2_100 <= 10_000 - left_of(after, "r0-day") < 2_200
    assert "limits.recalled" in scene.gateway.log.getvalue()
