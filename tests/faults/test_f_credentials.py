"""Group F: credentials that a provider refuses or limits, while others of the pool work.

The rule here: what the provider saw is read from the simulator's journal, which holds the
credential of each request; no request fails that need not.
"""

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import pytest

from gateway.app import RELAY
from gateway.credentials.pools import POOLS
from gateway.simulator import Simulator
from tests.faults.conftest import OpenScene
from tests.plugins.admin_scene import ask_admin
from tests.plugins.admins import ADMIN, AUTHORIZATION
from tests.plugins.scene import CHAT, DONE, PATHS, V1, Scene, error_of, eventually, header_of

KEYS = {f"SIM_{name}": f"sk-canary-pool-{name}-7d21e4" for name in ("ONE", "TWO", "THREE")}
ONE, TWO, THREE = KEYS.values()
REFUSED: dict[str, Any] = {"error": {"status": 401}}
LIMITED: dict[str, Any] = {"error": {"status": 429, "retry_after": "60"}}
SPENT: dict[str, Any] = {"preset": "openai-insufficient-quota"}


async def open_pool(open_scene: OpenScene, count: int = 3, **fields: Any) -> Scene:
    """A scene whose provider has so many credentials."""
    names = list(KEYS)[:count]
    return await open_scene(
        environ=KEYS, credentials=[f"${{{name}}}" for name in names], **{"retries": 2, **fields}
    )


def shown(simulator: Simulator) -> Counter[tuple[str, int]]:
    """How often each credential was shown, and what it was answered."""
    return Counter(
        ((one.header("authorization") or "").removeprefix("Bearer "), one.status)
        for one in simulator.journal
    )


def standing_of(scene: Scene, name: str) -> tuple[str, int]:
    """State and load of a credential."""
    found = {one.id: one for one in scene.gateway.service.app[POOLS].standings()}
    return str(found[name].state), found[name].in_flight


def states(scene: Scene) -> list[str]:
    """The state of each credential of the provider `sim`."""
    return [
        str(one.state)
        for one in scene.gateway.service.app[POOLS].standings()
        if one.provider == "sim"
    ]


async def ask_many(scene: Scene, count: int, *, at_once: int, **parts: Any) -> None:
    """So many requests, all of which are answered whole."""
    places = asyncio.Semaphore(at_once)

    async def ask(number: int) -> None:
        async with places:
            path = PATHS[number % 2]
            heard = await scene.ask({"count": 4, "gap_s": 0.002}, path, **parts)
            assert (heard.status, heard.is_whole) == (200, True), heard.raw

    await asyncio.gather(*(ask(number) for number in range(count)))


async def test_the_load_is_shared_evenly(open_scene: OpenScene) -> None:
    """I01 for credentials: thirty at a time are ten on each."""
    scene = await open_pool(open_scene)

    await ask_many(scene, 90, at_once=30)

    seen = shown(scene.simulator)
    assert seen.keys() == {(ONE, 200), (TWO, 200), (THREE, 200)}
    assert max(seen.values()) - min(seen.values()) <= 6, seen


async def test_a_credential_that_was_mended_is_shown_when_an_admin_says_so(
    open_scene: OpenScene,
) -> None:
    """F11: nobody has to wait for a trial, or to restart the gateway."""
    scene = await open_pool(open_scene, 2, settings={"admin": ADMIN})
    scene.simulator.answer_credential(ONE, REFUSED)
    await ask_many(scene, 4, at_once=1)
    assert states(scene) == ["set_aside", "ok"]
    scene.simulator.answer_credential(ONE, None)

    heard = await ask_admin(scene, "POST", "/credentials/sim/restore", {"credential_id": "SIM_ONE"})

    assert heard.json["restored"] == ["SIM_ONE"]
    assert states(scene) == ["ok", "ok"]
    await ask_many(scene, 4, at_once=1)
    seen = shown(scene.simulator)
    assert (seen[ONE, 401], seen[ONE, 200]) == (1, 2)


async def test_no_request_fails_while_one_credential_works(open_scene: OpenScene) -> None:
    """F11: one is revoked and one is limited under load; who meets both goes on with the third."""
    scene = await open_pool(open_scene)
    await ask_many(scene, 30, at_once=15)

    async def revoke() -> None:
        await scene.simulator.journal.wait_for_count(50)
        scene.simulator.answer_credential(ONE, REFUSED)
        scene.simulator.answer_credential(TWO, LIMITED)

    await asyncio.gather(revoke(), ask_many(scene, 90, at_once=15))
    seen = shown(scene.simulator)

    assert 1 <= seen[ONE, 401] <= 15, seen  # those in flight, and nobody after them
    assert 1 <= seen[TWO, 429] <= 15, seen
    assert states(scene) == ["set_aside", "resting", "ok"]
    lines = [line for line in scene.gateway.log.settled if line["provider"] == "sim"]
    assert {line["outcome"] for line in lines} == {"finished"}
    assert {line["credential_id"] for line in lines if line["attempts"] > 1} <= set(KEYS)
    assert max(line["attempts"] for line in lines) <= 3
    events = Counter(line["event"] for line in scene.gateway.log.lines)
    assert (events["credential.set_aside"], events["credential.rested"]) == (1, 1)
    before = scene.simulator.journal.count
    await ask_many(scene, 10, at_once=5)
    assert shown(scene.simulator)[THREE, 200] - seen[THREE, 200] == 10
    assert scene.simulator.journal.count - before == 10


@pytest.mark.parametrize(
    ("path", "directive", "state"),
    [
        (V1, REFUSED, "set_aside"),
        (CHAT, REFUSED, "set_aside"),
        (V1, {"error": {"status": 403, "code": "invalid_api_key"}}, "set_aside"),
        (V1, LIMITED, "resting"),
        (CHAT, {"error": {"status": 429}}, "resting"),
        (V1, SPENT, "spent"),
        (CHAT, {"error": {"status": 402}}, "spent"),
        (V1, {"stream_error": {"code": "rate_limit_exceeded"}}, "resting"),
    ],
)
async def test_a_request_goes_on_with_another_credential_at_once(
    open_scene: OpenScene, path: str, directive: dict[str, Any], state: str
) -> None:
    """F11: also where the refusal comes as an event in a 200, before any content."""
    scene = await open_pool(open_scene, 2)
    scene.simulator.answer_credential(ONE, directive)

    heard = await scene.ask("plain", path)

    line = await scene.settled()
    assert (heard.status, heard.is_whole) == (200, True)
    assert (line["attempts"], line["credential_id"]) == (2, "SIM_TWO")
    assert states(scene) == [state, "ok"]
    assert [key for key, _ in shown(scene.simulator)] == [ONE, TWO]
    bodies = {one.body for one in scene.simulator.journal}
    assert len(bodies) == 1  # the prompt goes again as it was


async def test_without_retries_the_provider_has_the_last_word(open_scene: OpenScene) -> None:
    """`retries: 0` is one attempt; the next request shows another credential."""
    scene = await open_pool(open_scene, 2, retries=0)
    scene.simulator.answer_credential(ONE, LIMITED)

    heard = await scene.ask("plain")

    assert error_of(heard)[0] == 429
    assert header_of(heard, "retry-after") == "1"  # the other one is free
    assert (await scene.settled())["attempts"] == 1
    for _ in range(3):
        assert (await scene.ask("plain")).status == 200
    assert shown(scene.simulator) == {(ONE, 429): 1, (TWO, 200): 3}


@pytest.mark.parametrize("path", PATHS)
async def test_when_all_rest_nobody_asks_and_the_wait_is_true(
    open_scene: OpenScene, path: str
) -> None:
    """F11, F13: the shortest wait of all, not that of the last one that was asked."""
    scene = await open_pool(open_scene, 2, recovers=False)
    scene.simulator.answer_credential(ONE, {"error": {"status": 429, "retry_after": "40"}})
    scene.simulator.answer_credential(TWO, {"error": {"status": 429, "retry_after": "90"}})

    first = await scene.ask("plain", path)
    second = await scene.ask("plain", path)

    assert error_of(first)[0] == 429
    assert error_of(second) == (429, "credentials_resting")
    for heard in (first, second):
        assert 38 <= int(header_of(heard, "retry-after") or 0) <= 40
        assert header_of(heard, "x-should-retry") == "false"
    assert scene.upstream_requests == 2
    line = await scene.settled(2)
    assert (line["outcome"], line["attempts"], line["credential_id"]) == ("rejected", 0, None)
    assert line["error_detail"] == "SIM_ONE resting, SIM_TWO resting"


@pytest.mark.parametrize("path", PATHS)
async def test_one_that_rests_is_not_hidden_by_one_that_is_refused_after_it(
    open_scene: OpenScene, path: str
) -> None:
    """F11, F13: a caller would take a 401 for final; the refused one is the operator's to mend."""
    scene = await open_pool(open_scene, 2, recovers=False)
    scene.simulator.answer_credential(ONE, {"error": {"status": 429, "retry_after": "7"}})
    scene.simulator.answer_credential(TWO, REFUSED)

    first = await scene.ask("plain", path)
    line = await scene.settled()
    second = await scene.ask("plain", path)

    for heard in (first, second):
        assert error_of(heard) == (429, "credentials_resting")
        assert 5 < int(header_of(heard, "retry-after") or 0) <= 7
    assert states(scene) == ["resting", "set_aside"]
    assert (line["attempts"], line["credential_id"]) == (2, "SIM_TWO")
    assert (line["status"], line["error_code"]) == (429, "credentials_resting")


async def test_a_short_rest_of_all_is_waited_for(open_scene: OpenScene) -> None:
    """F13: a moment is less than a caller would need to come back."""
    scene = await open_pool(open_scene, 2, recovers=False)
    scene.simulator.answer_credential(ONE, {"error": {"status": 429, "retry_after": "0.15"}})
    scene.simulator.answer_credential(TWO, REFUSED)

    async with scene.call("plain") as caller:
        await scene.simulator.journal.wait_for(lambda one: one.status == 401)
        scene.simulator.answer_credential(ONE, None)
        heard = scene.note(await caller.read_to_end())

    line = await scene.settled()
    assert (heard.status, line["attempts"], line["credential_id"]) == (200, 3, "SIM_ONE")
    assert states(scene) == ["ok", "set_aside"]


SENTENCE = "Sim API Key is incorrect. Please fix it in your profile settings."


@pytest.mark.parametrize("path", PATHS)
async def test_when_all_are_refused_that_is_said_and_nobody_is_asked(
    open_scene: OpenScene, path: str
) -> None:
    """F11: the first caller hears the provider, the others us, in the words of their dialect."""
    scene = await open_pool(open_scene, 2, recovers=False)
    for key in (ONE, TWO):
        scene.simulator.answer_credential(key, REFUSED)

    first = await scene.ask("plain", path)
    second = await scene.ask("plain", path)

    assert error_of(first) == (401, "upstream_credential_rejected")
    assert error_of(second) == (500, "credentials_refused")
    assert scene.upstream_requests == 2
    if path == CHAT:
        assert [heard.json["message"] for heard in (first, second)] == [SENTENCE] * 2
    else:
        message = second.json["error"]["message"]
        assert message.startswith("Sim does not accept any of the gateway's credentials; ")
        assert "`gateway keys test sim`" in message


async def test_when_all_is_spent_that_is_said(open_scene: OpenScene) -> None:
    """F11: an SDK that waits for a quota waits for ever."""
    scene = await open_pool(open_scene, 2, recovers=False)
    for key in (ONE, TWO):
        scene.simulator.answer_credential(key, SPENT)

    first = await scene.ask("plain")
    second = await scene.ask("plain")

    assert first.json["error"]["code"] == "insufficient_quota"
    assert error_of(second) == (429, "credentials_spent")
    assert scene.upstream_requests == 2


async def test_the_only_credential_is_asked_with_every_time(open_scene: OpenScene) -> None:
    """F11: a provider that was wrong about it for a moment must not be given up."""
    scene = await open_scene(retries=0)
    await scene.ask(REFUSED)
    assert states(scene) == ["set_aside"]

    heard = await scene.ask("plain")

    assert heard.status == 200
    assert states(scene) == ["ok"]


async def test_a_model_that_is_limited_does_not_stop_another_one(open_scene: OpenScene) -> None:
    """F11: the limits of most providers are for one model."""
    scene = await open_pool(open_scene, 2, recovers=False)
    for _ in range(2):
        await scene.ask(LIMITED, model="sim/large")

    assert error_of(await scene.ask("plain", model="sim/large")) == (429, "credentials_resting")
    assert (await scene.ask("plain", model="sim/small")).status == 200


@pytest.mark.parametrize("directive", [REFUSED, SPENT], ids=["refused", "spent"])
async def test_a_caller_cannot_take_the_pool_from_the_others(
    open_scene: OpenScene, directive: dict[str, Any]
) -> None:
    """F11: a model that is broken, or not paid for, is asked for again and again."""
    scene = await open_pool(open_scene, 2, recovers=False)
    for _ in range(3):
        assert (await scene.ask(directive, model="sim/broken")).status >= 400
    assert scene.upstream_requests == 2

    for path in PATHS:
        assert (await scene.ask("plain", path)).status == 200


async def test_a_caller_cannot_have_a_credential_set_aside_by_a_word(
    open_scene: OpenScene,
) -> None:
    """F11: providers quote the name of a model in the sentence that refuses it."""
    scene = await open_pool(open_scene, 2)
    message = "incorrect api key is not a valid model ID"

    for status in (400, 403):
        heard = await scene.ask({"error": {"status": status, "message": message, "code": "x"}})
        assert heard.status == status

    assert states(scene) == ["ok", "ok"]
    assert scene.upstream_requests == 2


async def test_a_pool_that_has_nothing_costs_the_caller_no_limit(open_scene: OpenScene) -> None:
    """Who was not served has used nothing."""
    rule = {
        "name": "few",
        "on": "principal",
        "match": {"provider": "sim"},
        "requests_per_minute": 3,
    }
    scene = await open_pool(open_scene, 2, settings={"limits": [rule]}, recovers=False)
    for key in (ONE, TWO):
        scene.simulator.answer_credential(key, LIMITED)
    await scene.ask("plain")

    for _ in range(9):
        assert error_of(await scene.ask("plain")) == (429, "credentials_resting")

    for key in (ONE, TWO):
        scene.simulator.answer_credential(key, None)
    heard = await scene.ask("plain", model="sim/another")
    assert header_of(heard, "x-ratelimit-remaining-requests") == "1"


async def test_a_refusal_that_comes_after_the_head_is_noted_all_the_same(
    open_scene: OpenScene,
) -> None:
    """F11: a provider that thinks for long before it refuses."""
    scene = await open_pool(open_scene, 2, settings={"commit": {"v1_max_wait_s": 0.02}})
    scene.simulator.answer_credential(ONE, {**REFUSED, "head_delay_s": 0.2})

    heard = await scene.ask("plain")

    assert (heard.status, DONE in heard.body) == (200, False)
    assert (await scene.settled())["error_code"] == "upstream_credential_rejected"
    assert states(scene) == ["set_aside", "ok"]


async def test_no_credential_is_seen_anywhere(open_scene: OpenScene) -> None:
    """L01: a provider echoes each; answers, log, metrics and pages of the admin hold none."""
    scene = await open_pool(open_scene, settings={"admin": ADMIN}, recovers=False)
    for key in KEYS.values():
        message = f"Incorrect API key provided: {key}. Find yours."
        scene.simulator.answer_credential(key, {"error": {"status": 401, "message": message}})

    heard = [await scene.ask("plain", path) for path in PATHS for _ in range(2)]
    pages = ""
    async with aiohttp.ClientSession() as session:
        for page in ("/credentials", "/credentials?format=table", "/readyz", "/metrics"):
            async with session.get(scene.gateway.admin_url + page, headers=AUTHORIZATION) as reply:
                pages += await reply.text()

    said = b"".join(one.raw for one in heard).decode() + pages + scene.gateway.log.getvalue()
    for key in KEYS.values():
        assert key[3:20] not in said
    assert all(name in pages for name in KEYS)
    assert '"state": "set_aside"' in pages
    assert 'provider="sim",credential_id="SIM_TWO",state="set_aside"} 1.0' in pages


@pytest.mark.parametrize(
    ("path", "policy", "place"),
    [
        (V1, "cancel", "before the head"),
        (CHAT, "drain", "before the head"),
        (CHAT, "cancel", "in the middle"),
        (V1, "drain", "in the middle"),
        (V1, "cancel", "after a refusal"),
        (CHAT, "drain", "after a refusal"),
    ],
)
async def test_a_caller_who_leaves_gives_the_credential_back(
    open_scene: OpenScene, path: str, policy: str, place: str
) -> None:
    """I05, I07 for credentials: at once, or when the answer was read to its end."""
    scene = await open_pool(open_scene, 2, on_client_gone=policy)
    stall = {"after_tokens": 2} if place == "in the middle" else {"at": "before_head"}
    name = "SIM_ONE"
    if place == "after a refusal":
        scene.simulator.answer_credential(ONE, LIMITED)
        name = "SIM_TWO"

    async with scene.call({"count": 5, "stall": {**stall, "for_s": 0.2}}, path) as caller:
        if place == "in the middle":
            await caller.read_until(b"word1")
        await scene.simulator.journal.wait_for(lambda one: one.status == 200)
        assert standing_of(scene, name)[1] == 1
        caller.hang_up()
        await eventually(lambda: standing_of(scene, name)[1] == 0, "it is given back")

    assert (await scene.settled())["credential_id"] == name


async def test_cancelled_at_every_turn_it_is_given_back(open_scene: OpenScene) -> None:
    """I05 for credentials: around each attempt, and while it waits for another."""
    scene = await open_pool(open_scene, 2)
    short = {"error": {"status": 429, "retry_after": "0.01"}}
    for turns in range(90):
        scene.simulator.answer_credential(ONE, short)
        scene.simulator.answer_credential(TWO, short)
        async with scene.call("plain", PATHS[turns % 2]) as caller:
            for _ in range(turns):
                await asyncio.sleep(0)
            caller.hang_up()
        scene.simulator.answer_credential(ONE, None)
        scene.simulator.answer_credential(TWO, None)
        await eventually(lambda: scene.gateway.is_quiet, "nothing is held")
        assert [standing_of(scene, name)[1] for name in list(KEYS)[:2]] == [0, 0]
        await eventually(lambda: states(scene) == ["ok", "ok"], "the rests are over")
    attempts = {line["attempts"] for line in scene.gateway.log.settled}
    assert {1, 2} <= attempts


async def test_a_gateway_that_stops_gives_back_what_is_open(open_scene: OpenScene) -> None:
    """I05 for credentials: the last ones too."""
    scene = await open_pool(open_scene, 2, recovers=False)

    async with scene.call({"count": 5, "stall": {"after_tokens": 2}}, V1) as caller:
        await caller.read_until(b"word1")
        assert standing_of(scene, "SIM_ONE")[1] == 1
        scene.gateway.service.app[RELAY].stop()
        await caller.read_to_end()

    await eventually(lambda: standing_of(scene, "SIM_ONE")[1] == 0, "it is given back")


@pytest.mark.parametrize("path", PATHS)
async def test_a_provider_without_a_credential_is_not_asked(
    open_scene: OpenScene, path: str
) -> None:
    """F12: it would refuse, and its caller would look for the mistake in their own key."""
    scene = await open_scene(environ={"SIM_API_KEY": ""}, recovers=False)

    heard = await scene.ask("plain", path)

    assert error_of(heard) == (500, "credential_not_found")
    assert header_of(heard, "x-should-retry") == "false"
    assert header_of(heard, "retry-after") is None
    assert (await scene.settled())["outcome"] == "rejected"
    assert scene.upstream_requests == 0
