"""Group I: limits, through the whole gateway.

The rule here: every rule is for the provider `sim`; whoever uses another one is never refused.
"""

import asyncio
import json
from typing import Any

import pytest

from gateway.app import RELAY
from gateway.stores.memory_counters import MemoryCounters
from tests.faults.conftest import OpenScene
from tests.plugins.counters import Hand
from tests.plugins.raw_caller import Heard
from tests.plugins.saboteurs import MISTAKES, SABOTAGE
from tests.plugins.scene import (
    CHAT,
    PATHS,
    V1,
    Scene,
    body_of,
    error_of,
    eventually,
    header_of,
    raw_request,
)

STALLED: dict[str, Any] = {"count": 5, "stall": {"after_tokens": 2}}
DAY_TOKENS = 1_000_000


async def open_limited(open_scene: OpenScene, *rules: dict[str, Any], **parts: Any) -> Scene:
    """A scene with these rules, named r0, r1 and so on."""
    limits = [
        {"name": f"r{number}", "on": "principal", "match": {"provider": "sim"}, **rule}
        for number, rule in enumerate(rules)
    ]
    return await open_scene(settings={"limits": limits, **parts.pop("settings", {})}, **parts)


def places_taken(scene: Scene) -> float:
    """Of the rule r0, as Prometheus sees it."""
    line = next(
        line
        for line in scene.gateway.metrics.splitlines()
        if line.startswith('gateway_limit_places_taken{rule="r0"}')
    )
    return float(line.rpartition(" ")[2])


def left_of(heard: Heard, label: str) -> int:
    """What `RateLimit` says is left of one number of a rule."""
    items = (header_of(heard, "ratelimit") or "").split(", ")
    item = next(item for item in items if item.startswith(f'"{label}";'))
    return int(item.split(";r=")[1].split(";")[0])


async def test_parallel_requests_never_exceed_the_places(open_scene: OpenScene) -> None:
    """I01, I12: 40 at once for five places, and the provider hears of five."""
    scene = await open_limited(open_scene, {"concurrent": 5})
    callers = []
    for _ in range(40):
        context = scene.call(STALLED)
        callers.append((context, await context.__aenter__()))
    refused = []

    async def listen(caller: Any) -> None:
        refused.append(scene.note(await caller.read_to_end()))

    listening = [asyncio.ensure_future(listen(caller)) for _, caller in callers]
    await eventually(lambda: len(refused) == 35, "35 are refused")

    assert scene.upstream_requests == 5
    assert places_taken(scene) == 5
    assert {error_of(heard) for heard in refused} == {(429, "concurrency_exceeded")}
    assert {header_of(heard, "retry-after") for heard in refused} == {"1"}
    for task in listening:
        task.cancel()  # nobody wakes one whose socket is closed under it
    await asyncio.gather(*listening, return_exceptions=True)
    for _, caller in callers:
        caller.hang_up()
    for context, _ in callers:
        await context.__aexit__(None, None, None)
    await eventually(lambda: places_taken(scene) == 0, "places are free")


async def test_who_asks_again_at_once_finds_the_place_free(open_scene: OpenScene) -> None:
    """I01: also when the next request was there before the answer to the first was out."""
    scene = await open_limited(open_scene, {"concurrent": 1})
    body = json.dumps(body_of(V1, "plain")).encode()
    length = f"Content-Length: {len(body)}"
    one = raw_request(f"POST {V1} HTTP/1.1", length, body=body)
    last = raw_request(f"POST {V1} HTTP/1.1", length, "Connection: close", body=body)

    heard = await scene.send(one * 20 + last)

    assert heard.raw.count(b"HTTP/1.1 200 OK") == 21
    assert scene.upstream_requests == 21


@pytest.mark.parametrize("path", PATHS)
async def test_parallel_requests_never_exceed_the_rate(open_scene: OpenScene, path: str) -> None:
    """I01: a burst of 30 on ten a minute."""
    hand = Hand()
    scene = await open_limited(
        open_scene,
        {"requests_per_minute": 10},
        counters=MemoryCounters(hand.clock, hand.wall),
        recovers=False,
    )

    heard = await asyncio.gather(*(scene.ask("plain", path) for _ in range(30)))

    statuses = [one.status for one in heard]
    assert (statuses.count(200), statuses.count(429)) == (10, 20)
    assert scene.upstream_requests == 10


@pytest.mark.parametrize("path", PATHS)
async def test_who_waits_as_told_is_let_in(open_scene: OpenScene, path: str) -> None:
    """I16: `Retry-After` is true on both paths, and the headers agree with it."""
    hand = Hand()
    rule = {"requests_per_minute": 7, "request_burst": 2, "tokens_per_minute": 900}
    scene = await open_limited(
        open_scene, rule, counters=MemoryCounters(hand.clock, hand.wall), recovers=False
    )
    waits = 0
    for _ in range(20):
        heard = await scene.ask("plain", path)
        if heard.status == 200:
            continue
        waits += 1
        _, code = error_of(heard)
        wait_s = int(header_of(heard, "retry-after") or 0)
        assert code in {"request_rate_exceeded", "token_rate_exceeded"}
        assert wait_s >= 1
        assert "x-should-retry" not in heard.head
        message = heard.json.get("message") or heard.json["error"]["message"]
        assert message.startswith("The rule r0 allows ")
        hand.advance(wait_s)
        assert (await scene.ask("plain", path)).status == 200

    assert waits > 3


@pytest.mark.parametrize("stream", [True, False])
async def test_good_answers_say_how_the_rules_stand(open_scene: OpenScene, *, stream: bool) -> None:
    """On a stream too, whose head leaves long before its end."""
    scene = await open_limited(
        open_scene, {"requests_per_minute": 600, "concurrent": 3, "tokens_per_day": DAY_TOKENS}
    )

    heard = await scene.ask("plain", stream=stream)

    assert heard.status == 200
    assert header_of(heard, "x-ratelimit-limit-requests") == "600"
    assert header_of(heard, "x-ratelimit-remaining-requests") == "599"
    assert header_of(heard, "x-ratelimit-reset-requests") == "100ms"
    assert header_of(heard, "ratelimit-policy") == (
        '"r0-requests";q=600;w=60;qu="requests", "r0-concurrent";q=3;qu="concurrent-requests", '
        '"r0-day";q=1000000;w=86400;qu="tokens"'
    )
    assert left_of(heard, "r0-concurrent") == 2


ENDINGS: dict[str, Any] = {
    "finished": "plain",
    "refused by the provider": {"error": {"status": 400}},
    "failed before the head": "cut-before-head",
    "failed in the middle": "cut",
    "cut off without an end": "no-done",
    "no usage": {"usage": "none"},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_ending_of_the_provider_settles_once(
    open_scene: OpenScene, path: str, ending: str
) -> None:
    """I05, I07, I08: the place is free, and the log and the counter say the same."""
    scene = await open_limited(open_scene, {"concurrent": 1, "tokens_per_day": DAY_TOKENS})

    await scene.ask(ENDINGS[ending], path)

    await check_settled(scene)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("policy", ["cancel", "drain"])
@pytest.mark.parametrize("place", ["before the head", "in the middle"])
async def test_a_caller_who_leaves_settles_once(
    open_scene: OpenScene, path: str, policy: str, place: str
) -> None:
    """I05, I07: whether or not the answer is read to its end without them."""
    scene = await open_limited(
        open_scene, {"concurrent": 1, "tokens_per_day": DAY_TOKENS}, on_client_gone=policy
    )
    stall = {"at": "before_head"} if place == "before the head" else {"after_tokens": 2}
    directive = {"count": 5, "stall": {**stall, "for_s": 0.2}}

    async with scene.call(directive, path) as caller:
        if place == "in the middle":
            await caller.read_until(b"word1")
        else:
            await scene.simulator.journal.wait_for(lambda one: one.received_s > 0)
        assert places_taken(scene) == 1
        assert error_of(await scene.ask("plain", path)) == (429, "concurrency_exceeded")
        caller.hang_up()
        await eventually(lambda: places_taken(scene) == 0, "the place is free")

    await scene.settled(2)
    used = [line for line in scene.gateway.log.settled if line["outcome"] == "client_gone"]
    assert len(used) == 1
    if policy == "drain":
        assert used[0]["tokens_source"] == "provider"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_mistake_of_a_middleware_settles_once(
    open_scene: OpenScene, mistake: Any, place: str
) -> None:
    """I05: whichever side of the limits it stands on."""
    use = f"tests.plugins.saboteurs:{mistake.__name__}"
    scene = await open_limited(
        open_scene,
        {"concurrent": 1},
        settings={"middleware": [{"use": use, place: "enforce_limits"}]},
    )
    scene.gateway.allowed_words = ("Traceback", "request.crashed")

    await scene.ask(
        {"count": 3, "stall": {"after_tokens": 2, "for_s": 0.05}},
        headers=("Connection: close", f"{SABOTAGE}: 1"),
    )

    await eventually(lambda: places_taken(scene) == 0, "the place is free")


async def test_a_gateway_that_stops_settles_what_is_open(open_scene: OpenScene) -> None:
    """I05: the last ones too."""
    scene = await open_limited(open_scene, {"concurrent": 1}, recovers=False)

    async with scene.call(STALLED) as caller:
        await caller.read_until(b"word1")
        scene.gateway.service.app[RELAY].stop()
        await caller.read_to_end()

    await eventually(lambda: places_taken(scene) == 0, "the place is free")
    assert (await scene.settled())["error_code"] == "server_shutdown"


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_too_much_never_reaches_the_provider(
    open_scene: OpenScene, path: str
) -> None:
    """I15: told at once, with what to make smaller."""
    scene = await open_limited(
        open_scene, {"tokens_per_minute": 100, "max_body_bytes": 5_000}, recovers=False
    )
    never_fits, too_large = (400, "request_never_fits"), (413, "body_limit_exceeded")
    for length, expected in ((450, never_fits), (6_000, too_large)):
        messages = [{"role": "user", "content": "x" * length}]

        heard = await scene.ask("plain", path, messages=messages)

        assert error_of(heard) == expected
        assert header_of(heard, "retry-after") is None
    assert scene.upstream_requests == 0


@pytest.mark.parametrize("send", [["temperature"], ["max_tokens"]])
async def test_the_longest_answer_is_asked_for_in_the_callers_place(
    open_scene: OpenScene, send: list[str]
) -> None:
    """I10: a cap that the caller leaves out is a cap all the same, whatever the chat sends."""
    scene = await open_limited(
        open_scene, {"max_output_tokens": 50}, params={"send": send}, recovers=False
    )

    asked = []
    nothing: dict[str, Any] = {}
    null = {"max_tokens": None}
    for path, fields in ((V1, nothing), (CHAT, nothing), (V1, {"max_tokens": 20}), (V1, null)):
        assert (await scene.ask("plain", path, **fields)).status == 200
        asked.append(json.loads(scene.simulator.journal.last.body)["max_tokens"])
    refused = await scene.ask("plain", max_completion_tokens=51)

    assert asked == [50, 50, 20, 50]
    assert error_of(refused) == (400, "output_limit_exceeded")


async def test_no_longer_answer_is_asked_for_than_the_model_has(open_scene: OpenScene) -> None:
    """I10: a rule that allows more is no reason for the provider to refuse."""
    scene = await open_limited(open_scene, {"max_output_tokens": 50}, max_output=30, recovers=False)

    for path in (V1, CHAT):
        assert (await scene.ask("plain", path)).status == 200
        assert json.loads(scene.simulator.journal.last.body)["max_tokens"] == 30


async def test_no_more_is_set_aside_than_the_model_has(open_scene: OpenScene) -> None:
    """I10: or a rate refuses for its length an answer that is asked for much shorter."""
    rule = {"max_output_tokens": 5_000, "tokens_per_minute": 1_000}
    scene = await open_limited(open_scene, rule, max_output=30, recovers=False)

    for path in (V1, CHAT):
        assert (await scene.ask("plain", path)).status == 200


async def test_a_rule_that_is_tried_out_is_seen_in_log_and_metrics(open_scene: OpenScene) -> None:
    """I12: before it refuses anybody, an operator sees whom it would."""
    scene = await open_limited(
        open_scene, {"requests_per_minute": 1, "dry_run": True}, {"concurrent": 9}
    )

    for _ in range(3):
        assert (await scene.ask("plain")).status == 200

    lines = [await scene.settled(number) for number in (1, 2, 3)]
    assert [line["would_refuse"] for line in lines] == [None, ["r0"], ["r0"]]
    assert 'gateway_limit_refusals_total{rule="r0",dry_run="true"} 2.0' in scene.gateway.metrics


async def test_who_was_refused_by_which_rule_is_in_the_log(open_scene: OpenScene) -> None:
    """The first question of whoever is told of a 429."""
    scene = await open_limited(open_scene, {"requests_per_minute": 1}, recovers=False)
    await scene.ask("plain")

    await scene.ask("plain")

    line = await scene.settled(2)
    assert (line["outcome"], line["error_code"]) == ("rejected", "request_rate_exceeded")
    assert (line["refused_by"], line["attempts"]) == ("r0", 0)
    assert 'gateway_limit_refusals_total{rule="r0",dry_run="false"} 1.0' in scene.gateway.metrics


async def check_settled(scene: Scene) -> None:
    """Assert that the place is free and that the day has lost what the log line says."""
    line = await scene.settled()
    await eventually(lambda: places_taken(scene) == 0, "the place is free")
    after = await scene.ask("plain", V1, max_tokens=1)
    assert after.status == 200
    request = json.loads(scene.simulator.journal.last.body)
    used = DAY_TOKENS - left_of(after, "r0-day") - 1  # and what this one sets aside
    if line["tokens_in"] is not None:
        known = line["tokens_in"] + line["tokens_out"]
        assert 0 <= used - known < len(json.dumps(request)), (used, line)
    elif line["outcome"] == "upstream_failed" and line["tokens_out"] is None:
        assert used < len(json.dumps(request)) / 4 + 1
