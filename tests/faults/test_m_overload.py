"""Fault group M: storms, herds and providers that come back.

The rule here: everybody is there at the same time, counted where it arrives; nothing is timed.
"""

import asyncio
import contextlib
import hashlib
import json
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.core.breaker import BreakerState
from gateway.core.upstream_errors import UpstreamConnectError
from gateway.upstream.upstreams import UPSTREAMS
from tests.faults.conftest import OpenScene
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.raw_provider import RawProvider, read_request
from tests.plugins.scene import (
    CHAT,
    GATEWAY_KEY,
    V1,
    Scene,
    at,
    body_of,
    error_of,
    eventually,
    header_of,
    raw_request,
)

STORM = 150
OFF = {"enabled": False}
ON: dict[str, Any] = {}
QUICK = {"open_s": 0.05, "max_open_s": 0.05}
FAILING: dict[str, Any] = {"error": {"status": 503, "retry_after": "0"}}


async def storm(scene: Scene, count: int, directive: object = None, **fields: Any) -> list[Heard]:
    """So many callers at once; what each of them heard."""
    body = json.dumps(body_of(V1, directive, stream=False, **fields)).encode()
    head = ("Connection: close", f"Content-Length: {len(body)}")
    asked = raw_request(f"POST {V1} HTTP/1.1", *head, body=body)

    async def ask() -> Heard:
        async with Caller(scene.gateway.port) as caller:
            await caller.send(asked)
            return scene.note(await caller.read_to_end())

    return list(await asyncio.gather(*(ask() for _ in range(count))))


async def test_a_storm_of_failures_is_not_multiplied(open_scene: OpenScene) -> None:
    """M03: each of them would be tried twice more, and the provider would get three storms."""
    scene = await open_scene(retries=2)

    heard = await storm(scene, STORM, FAILING)

    assert Counter(error_of(one) for one in heard) == {(503, "service_unavailable"): STORM}
    assert STORM < scene.upstream_requests <= 1.2 * STORM
    line = next(one for one in scene.gateway.log.lines if one["event"] == "retries.held_back")
    assert (line["level"], line["provider"], line["count"]) == ("warning", "sim", 1)


async def test_without_the_budget_each_request_has_its_own_retries(open_scene: OpenScene) -> None:
    """It is off by a word, and then `retries` alone counts."""
    scene = await open_scene(retries=1, retry_budget=OFF)

    await storm(scene, 30, FAILING)

    assert scene.upstream_requests == 60


async def test_one_caller_gets_the_retries_that_the_registry_says(open_scene: OpenScene) -> None:
    """A gateway with one request a minute is no storm."""
    scene = await open_scene(retries=2)
    scene.simulator.script({**FAILING, "times": 2, "then": [{"preset": "plain"}]})

    heard = await scene.ask(stream=False, simulate=None)

    assert (heard.status, scene.upstream_requests) == (200, 3)


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_a_provider_that_fails_all_the_time_is_not_asked(
    open_scene: OpenScene, path: str
) -> None:
    """M03: refused at once, in either dialect, with a time to come back; nobody else is."""
    scene = await open_scene(breaker=ON, recovers=False)
    await storm(scene, 20, FAILING, model="sim/plain")
    asked = scene.upstream_requests

    heard = await scene.ask(path=path, **({"model": "sim/plain"} if path == V1 else {}))

    assert error_of(heard) == (503, "provider_unavailable")
    assert header_of(heard, "x-should-retry") == "false"
    assert 8 <= int(header_of(heard, "retry-after") or 0) <= 16
    assert scene.upstream_requests == asked == 20
    line = await scene.settled(21)
    assert (line["outcome"], line["attempts"]) == ("rejected", 0)
    await scene.serve_bystander()
    (opened,) = [one for one in scene.gateway.log.lines if one["event"] == "breaker.opened"]
    assert (opened["provider"], opened["model"]) == ("sim", "plain")


async def test_who_is_refused_for_a_provider_has_used_nothing_of_a_limit(
    open_scene: OpenScene,
) -> None:
    """M03: the minute's requests are there when the provider is."""
    rule = {"name": "few", "on": "principal", "requests_per_minute": 60, "request_burst": 21}
    scene = await open_scene(settings={"limits": [rule]}, breaker=ON, recovers=False)
    await storm(scene, 20, FAILING, model="sim/plain")

    for _ in range(10):
        assert error_of(await scene.ask(model="sim/plain")) == (503, "provider_unavailable")

    # The one that is left is for the bystander, who is asked when the scene ends.


async def test_the_state_of_a_breaker_is_seen_where_readiness_is(open_scene: OpenScene) -> None:
    """M03: and a provider that is down does not make the gateway unready."""
    scene = await open_scene(breaker=ON, recovers=False)
    assert "breakers" not in (await ready(scene)).json
    await storm(scene, 20, FAILING)

    heard = await ready(scene)

    assert heard.status == 200
    assert heard.json["breakers"] == {"sim": "open"}
    assert 'gateway_breaker_state{provider="sim",state="open"} 1' in scene.gateway.metrics
    assert 'gateway_breaker_state{provider="other",state="closed"} 1' in scene.gateway.metrics


async def ready(scene: Scene) -> Heard:
    """What `/readyz` says."""
    port = int(scene.gateway.admin_url.rpartition(":")[2])
    async with Caller(port) as caller:
        await caller.send(raw_request("GET /readyz HTTP/1.1", "Connection: close"))
        return await caller.read_to_end()


async def test_callers_with_bad_requests_make_no_outage(open_scene: OpenScene) -> None:
    """M03: 4xx and limits are not the provider's failures, however many there are."""
    scene = await open_scene(breaker=QUICK)
    for status in (400, 401, 404, 422, 429):
        await storm(scene, 20, {"error": {"status": status, "retry_after": "0"}})

    assert scene.upstream_requests == 100


async def test_callers_who_leave_make_no_outage(open_scene: OpenScene) -> None:
    """M03: a crowd that hangs up has said nothing of the provider."""
    scene = await open_scene(breaker=ON)
    for _ in range(25):
        async with scene.call({"stall": {"after_tokens": 0}}) as caller:
            await eventually(lambda: scene.simulator.journal.open == 1, "it was asked")
            caller.hang_up()
        await eventually(lambda: scene.simulator.journal.open == 0, "it was left")

    assert scene.upstream_requests == 25


OK_BODY = (
    b'{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"Hi"}}]}'
)
OK_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(OK_BODY),
    OK_BODY,
)
FAILED_REPLY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"


class Weak:
    """A provider that is down, and when it is up bears a few more than it has served."""

    def __init__(self) -> None:
        self.is_up = False
        self.served = 0
        self.open = 0
        self.collapsed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the caller leaves."""
        while True:
            await read_request(reader)
            self.open += 1
            for _ in range(20):  # turns of the loop: whoever comes at once is here at once
                await asyncio.sleep(0)
            # As a cache that has to fill: each answer lets it bear one more.
            can = self.is_up and self.open <= self.served + 1
            self.collapsed += self.is_up and not can
            self.served += can
            self.open -= 1
            writer.write(OK_REPLY if can else FAILED_REPLY)
            await writer.drain()


async def test_a_provider_that_comes_back_is_not_pushed_over_again(open_scene: OpenScene) -> None:
    """M04: a crowd waits, one is let through, then two, then four; nobody brings it down twice."""
    weak = Weak()
    async with RawProvider(weak.serve) as provider:
        # A trial that takes longer than that lets another one in: not on a busy machine.
        times = {"open_s": 0.6, "max_open_s": 0.6}
        scene = await open_scene(**at(provider.port), breaker=times)
        await storm(scene, 25)
        weak.is_up = True
        left = 60
        rounds = 0
        while left:  # all that are left, again and again: nobody waits as they are told
            left -= sum(one.status == 200 for one in await storm(scene, left))
            rounds += 1

        opened = [one for one in scene.gateway.log.lines if one["event"] == "breaker.opened"]
        assert weak.collapsed == 0
        assert weak.served == 60
        assert len(opened) == 1
        assert rounds > 3


async def test_what_this_machine_lacks_opens_nothing(open_scene: OpenScene) -> None:
    """M10: out of files, every connection fails, and none of them because of the provider."""
    scene = await open_scene(breaker=QUICK)
    scene.simulator.drop_connections()
    with few_files():
        gate = scene.gateway.service.app[UPSTREAMS]["sim"].gate
        for _ in range(25):
            with pytest.raises(UpstreamConnectError) as failed:
                await scene.gateway.service.app[UPSTREAMS]["sim"].take_connection(fresh=True)
            assert failed.value.is_ours
            gate.note_failure(gate.enter("m"), failed.value)

    assert gate.state is BreakerState.CLOSED


@contextlib.contextmanager
def few_files() -> Iterator[None]:
    """A process that may open no more files than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


STALLED = {"count": 2, "stall": {"after_tokens": 1}}


@contextlib.asynccontextmanager
async def crowd(scene: Scene, count: int, key: str = GATEWAY_KEY) -> AsyncIterator[None]:
    """So many streams that have begun and do not end, of one caller."""
    asked = asked_as(key, body_of(V1, STALLED))
    async with contextlib.AsyncExitStack() as stack:
        callers = [
            await stack.enter_async_context(Caller(scene.gateway.port)) for _ in range(count)
        ]
        for caller in callers:
            await caller.send(asked)
        for caller in callers:
            await caller.read_until(b"word0")
        yield
        for caller in callers:
            caller.hang_up()


KEYS = {
    name: f"gw-canary-key-of-{name}-5b1e{number}" for number, name in enumerate(("bob", "carol"))
}
EVERYBODY = [
    {
        "kind": "gateway_key",
        "keys": {
            name: f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
            for name, key in {"alice": GATEWAY_KEY, **KEYS}.items()
        },
    }
]


async def test_one_who_wants_a_hundred_times_as_much_does_not_keep_out_the_others(
    open_scene: OpenScene,
) -> None:
    """M05: alice has what is open to all; bob and carol are served, each time."""
    settings = {"overload": {"max_in_flight": 40}, "auth": EVERYBODY}
    scene = await open_scene(settings=settings)
    scene.gateway.secrets += KEYS.values()
    async with crowd(scene, 32), crowd(scene, 1, key=KEYS["bob"]):
        storming = asyncio.ensure_future(storm(scene, 100))
        others = [ask_as(scene, key) for key in KEYS.values() for _ in range(3)]
        served = await asyncio.gather(*others)
        refused = await storming

    assert {one.status for one in served} == {200}
    assert Counter(error_of(one) for one in refused) == {(503, "overloaded"): 100}


async def test_who_came_in_vain_is_served_before_one_who_asks_all_the_time(
    open_scene: OpenScene,
) -> None:
    """M05: alice has all there is, and is there first each time that something is free."""
    settings = {"overload": {"max_in_flight": 20}, "auth": EVERYBODY}
    scene = await open_scene(settings=settings)
    scene.gateway.secrets += KEYS.values()
    async with crowd(scene, 19):
        async with crowd(scene, 1):
            in_vain = await ask_as(scene, KEYS["bob"])
        await eventually(lambda: scene.simulator.journal.open == 19, "one has left")
        refused = await storm(scene, 50)
        served = await ask_as(scene, KEYS["bob"])

    assert error_of(in_vain) == (503, "overloaded")
    assert Counter(error_of(one) for one in refused) == {(503, "overloaded"): 50}
    assert served.status == 200


def asked_as(key: str, body: dict[str, Any]) -> bytes:
    """One request with somebody's key."""
    content = json.dumps(body).encode()
    headers = (f"Authorization: Bearer {key}", f"Content-Length: {len(content)}")
    start = f"POST {V1} HTTP/1.1"
    return raw_request(start, *headers, "Connection: close", body=content, authorized=False)


async def ask_as(scene: Scene, key: str) -> Heard:
    """What somebody hears."""
    async with Caller(scene.gateway.port) as caller:
        await caller.send(asked_as(key, body_of(V1, stream=False)))
        return scene.note(await caller.read_to_end())


async def test_a_full_house_refuses_and_its_admins_are_answered(open_scene: OpenScene) -> None:
    """M01, M02: those who are in go on, health and metrics are there, and then all is as before."""
    scene = await open_scene(settings={"overload": {"max_in_flight": 20}})
    async with crowd(scene, 20):
        refused = await storm(scene, 8 * 20)
        healthy = await ready(scene)
        assert scene.simulator.journal.open == 20

    assert Counter(error_of(one) for one in refused) == {(503, "overloaded"): 160}
    waits = Counter(header_of(one, "retry-after") for one in refused)
    assert set(waits) == {"1", "2", "3", "4"}
    assert healthy.status == 200
    assert scene.upstream_requests == 20
    began = [one for one in scene.gateway.log.lines if one["event"] == "overload.began"]
    assert len(began) == 1
    assert (began[0]["cause"], began[0]["in_flight"]) == ("in_flight", 20)


async def test_connections_that_wait_for_a_request_are_closed_when_files_are_short(
    open_scene: OpenScene,
) -> None:
    """M02: those that answer one go on, and so do new ones."""
    scene = await open_scene(settings={"overload": {"max_files_share": 1e-9}})
    async with Caller(scene.gateway.port) as idle, crowd(scene, 1):
        await idle.send(raw_request("GET /v1/models HTTP/1.1"))
        await idle.read_until(b"\r\n\r\n")

        heard = await idle.read_to_end()  # it is the gateway that ends it

        assert not heard.was_reset
        assert scene.simulator.journal.open == 1


async def test_who_was_refused_is_refused_at_the_door_and_let_in_when_there_is_room(
    open_scene: OpenScene,
) -> None:
    """M01: a refusal costs a tenth there; the same caller is served as soon as it is their turn."""
    scene = await open_scene(settings={"overload": {"max_in_flight": 20}})
    asked = asked_as(GATEWAY_KEY, body_of(V1, stream=False)).replace(b"Connection: close\r\n", b"")
    async with crowd(scene, 19):
        async with crowd(scene, 1):
            refused = []
            for _ in range(30):
                async with Caller(scene.gateway.port) as caller:
                    await caller.send(asked)
                    refused.append(scene.note(await caller.read_answer()))
            lines = len(scene.gateway.log.settled)
        await eventually(lambda: scene.simulator.journal.open == 19, "one has left")
        async with Caller(scene.gateway.port) as caller:
            await caller.send(asked)
            served = await caller.read_answer()

    assert Counter(error_of(one) for one in refused) == {(503, "overloaded"): 30}
    assert lines < 30  # most were not worth a line of their own
    assert "gateway_overload_refusals_total 30" in scene.gateway.metrics
    assert served.status == 200
