"""Two faults at the same time, which each alone are the matter of another file here.

The rule here: whichever of the two is noticed first, the exchange ends once: one line, one row that
says the same, nothing held.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.app import LEDGER, RELAY, WRITER
from gateway.core.breaker import BreakerState
from gateway.core.upstream_errors import UpstreamConnectError
from gateway.middleware.read_request import HELD_BODIES
from gateway.simulator import Simulator
from gateway.upstream.upstreams import UPSTREAMS
from tests.faults.conftest import OpenScene
from tests.plugins.gateway import CREDENTIAL, StartGateway
from tests.plugins.ledgers import read_books
from tests.plugins.raw_caller import LAST_CHUNK, Caller
from tests.plugins.raw_provider import RawProvider
from tests.plugins.scene import AUTH, CHAT, PATHS, Scene, at, error_of, eventually, raw_request
from tests.plugins.stepped_provider import DONE, END, SteppedProvider, chunk_of, event_of

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
POLICIES = ("cancel", "drain")
LIMITS = [{"name": "all", "on": "principal", "concurrent": 50, "tokens_per_day": 10**9}]
REPLY = b'{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7}}'
USAGE = (
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[],'
    b'"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\n\n'
)
LONG = {"count": 4000, "template": " " + "x" * 4000}  # more than all buffers hold
FAULT = b'data: {"error":{"message":"overloaded","code":502}}\n\n'
FINISH = (
    b'data: {"id":"c","object":"chat.completion.chunk",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)


async def open_whole(open_scene: OpenScene, **fields: Any) -> Scene:
    """A scene with all that is to be settled: books, limits, a breaker."""
    settings = {"ledger": {}, "limits": LIMITS, **fields.pop("settings", {})}
    return await open_scene(settings=settings, breaker={}, **fields)


async def ended_once(scene: Scene, count: int = 1) -> list[dict[str, Any]]:
    """The lines of all exchanges with the provider, which the books agree with."""
    await scene.settled(count)
    directory = scene.gateway.service.app[LEDGER].journal.path.parents[1]
    await scene.gateway.service.app[WRITER].flush()
    rows = await read_books(f"sqlite:///{directory / 'gateway.db'}")
    lines = [line for line in scene.gateway.log.settled if line["provider"] == "sim"]
    assert len(lines) == count
    said = {line["request_id"]: (line["outcome"], line["error_code"]) for line in lines}
    booked = {row["request_id"]: row for row in rows if row["provider"] == "sim"}
    assert {key: (row["outcome"], row["error_code"] or None) for key, row in booked.items()} == said
    assert len([row for row in rows if row["provider"] == "sim"]) == count
    for line in lines:
        last = booked[line["request_id"]]["attempts"][-1]
        assert (last["tokens_in"], last["tokens_out"]) == (line["tokens_in"], line["tokens_out"])
    return lines


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("is_caller_first", [True, False])
@pytest.mark.parametrize("how", ["reset", "fin", "fault", "whole"])
async def test_provider_and_caller_end_in_the_same_turn(
    open_scene: OpenScene, path: str, policy: str, how: str, *, is_caller_first: bool
) -> None:
    """G01 and A05: what came is booked once, as what was noticed first."""
    async with SteppedProvider() as provider:
        scene = await open_whole(
            open_scene, base_url=provider.base_url, on_client_gone=policy, recovers=False
        )
        async with scene.call(path=path) as caller:
            await provider.open_stream()
            await provider.send(event_of(content="Hello"))
            await caller.read_until(b"Hello")
            if is_caller_first:
                caller.reset()
            await end_stream(provider, how)  # which waits for nothing: it is the same turn
            if not is_caller_first:
                caller.reset()
        (line,) = await ended_once(scene)

    expected = {"client_gone", "finished" if how == "whole" else "upstream_failed"}
    assert line["outcome"] in expected
    assert line["chunks"] >= 1
    if how == "whole" and (policy == "drain" or line["outcome"] == "finished"):
        assert (line["tokens_in"], line["tokens_out"]) == (11, 7)


async def end_stream(provider: SteppedProvider, how: str) -> None:
    """The end of a stream that has begun."""
    if how == "whole":
        await provider.send_raw(chunk_of(FINISH) + chunk_of(USAGE) + chunk_of(DONE) + END)
    elif how == "fault":
        await provider.send(FAULT)
    elif how == "reset":
        provider.reset()
    else:
        provider.finish()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("order", [(USAGE, FAULT), (FAULT, USAGE), (FINISH, USAGE, FAULT)])
@pytest.mark.parametrize("is_one_read", [True, False])
async def test_an_answer_that_was_counted_and_then_failed_is_booked_as_counted(
    open_scene: OpenScene, path: str, order: tuple[bytes, ...], *, is_one_read: bool
) -> None:
    """G09 and G08: it ends as failed; what the provider had counted before is what is billed."""
    async with SteppedProvider() as provider:
        scene = await open_whole(open_scene, base_url=provider.base_url, recovers=False)
        async with scene.call(path=path) as caller:
            await provider.open_stream()
            await provider.send(event_of(content="Hello"))
            await caller.read_until(b"Hello")
            if is_one_read:
                await provider.send(b"".join(order))
            else:
                for event in order:
                    await provider.send(event)
                    await asyncio.sleep(0)
            raw = (await caller.read_to_end()).raw
        (line,) = await ended_once(scene)

    assert b"[DONE]" not in raw
    assert not raw.endswith(LAST_CHUNK)
    assert (line["outcome"], line["error_code"]) == ("upstream_failed", "upstream_error_in_stream")
    if order[0] is not FAULT:
        assert (line["tokens_in"], line["tokens_out"]) == (11, 7)
        assert line["tokens_source"] == "provider"
    else:
        assert line["tokens_source"] == "estimate"


@pytest.mark.parametrize("how", ["whole", "fin"])
@pytest.mark.parametrize("is_caller_first", [True, False])
async def test_a_reply_that_comes_as_its_caller_leaves_is_no_success(
    open_scene: OpenScene, how: str, *, is_caller_first: bool
) -> None:
    """F11 and A06: nobody gets it; that it came is booked."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    async with SteppedProvider() as provider:
        scene = await open_whole(open_scene, base_url=provider.base_url, recovers=False)
        async with scene.call(stream=False) as caller:
            await provider.wait_until_asked()
            if is_caller_first:
                caller.reset()
            await provider.send_raw(head % len(REPLY) + REPLY[: None if how == "whole" else -1])
            if how == "fin":
                provider.finish()
            if not is_caller_first:
                caller.reset()
        (line,) = await ended_once(scene)

    expected = {"client_gone"} if how == "whole" else {"client_gone", "upstream_failed"}
    assert line["outcome"] in expected
    if how == "whole" and not is_caller_first:
        assert (line["tokens_in"], line["tokens_out"]) == (11, 7)


@pytest.fixture
async def no_handshake() -> AsyncIterator[dict[str, Any]]:
    """The entry of a provider that takes connections and never says a word of TLS."""
    async with SteppedProvider() as provider:
        url = provider.base_url.replace("http:", "https:")
        yield {"base_url": url, "allow_private": True, "timeouts": {"tls_s": 60}}


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_stop_ends_all_that_is_stuck_each_in_its_own_way(
    start_gateway: StartGateway, simulator: Simulator, no_handshake: dict[str, Any], policy: str
) -> None:
    """K01 with A04, A06, F04, F05 and a retry that waits: each has its words, line and row."""
    usual = {"base_url": simulator.base_url, "allow_private": True, "on_client_gone": policy}
    timeouts = {"write_stall_s": 60}
    gateway = await start_gateway(
        providers={"sim": {**usual, "retries": 1, "timeouts": timeouts}, "mute": no_handshake},
        settings={"auth": AUTH, "ledger": {}, "limits": LIMITS},
        environ={"SIM_API_KEY": CREDENTIAL, "MUTE_API_KEY": CREDENTIAL},
    )
    scene = Scene(gateway, simulator, simulator, 0, set())  # it is over before the test is
    stalled: dict[str, Any] = {"count": 5, "stall": {"after_tokens": 2}}
    relay = gateway.service.app[RELAY]

    async with (
        scene.call({"head_delay_s": 60}) as silent,
        scene.call({"error": {"status": 503, "retry_after": "5"}}) as waiting,
        scene.call(model="mute/m") as dialing,
        scene.call(stalled, CHAT) as listening,
        scene.call(LONG, small_buffer=True),
        scene.call(stalled) as leaving,
    ):
        await listening.read_until(b"word1")
        await leaving.read_until(b"word1")
        await simulator.journal.wait_for_count(5)
        await eventually(lambda: relay.attempts_in_flight == 4, "one waits for its retry")
        leaving.reset()
        await eventually(lambda: gateway.open_connections == 5, "one has left")
        left = 4 if policy == "drain" else 3
        await eventually(lambda: relay.attempts_in_flight == left, "it is drained or over")

        await gateway.service.stop()
        refused = [await one.read_to_end() for one in (silent, waiting, dialing)]
        cut = (await listening.read_to_end()).raw

    assert [error_of(one) for one in refused] == [(503, "server_shutdown")] * 3
    assert not cut.endswith(LAST_CHUNK)
    ended = [
        ("client_gone", None, 200),
        *[("policy_stopped", "server_shutdown", 200)] * 2,
        *[("rejected", "server_shutdown", 503)] * 3,
    ]
    lines = [(one["outcome"], one["error_code"], one["status"]) for one in gateway.log.settled]
    rows = await read_books(f"sqlite:///{gateway.directory / 'gateway.db'}")
    booked = [(row["outcome"], row["error_code"] or None, row["status"]) for row in rows]
    assert sorted(lines, key=str) == sorted(booked, key=str) == ended


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("expects", [True, False])
async def test_a_stop_in_the_middle_of_a_body_is_said(
    start_gateway: StartGateway, simulator: Simulator, path: str, *, expects: bool
) -> None:
    """K01 with A03: it is no mistake of the gateway's, and no caller who left."""
    gateway = await start_gateway(
        providers={"sim": {"base_url": simulator.base_url, "allow_private": True}},
        settings={"auth": AUTH},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    headers = ("Content-Length: 5000", *(["Expect: 100-continue"] if expects else []))

    async with Caller(gateway.port) as caller:
        await caller.send(raw_request(f"POST {path} HTTP/1.1", *headers))
        if expects:
            await caller.read_until(CONTINUE)
        await caller.send(b"{")
        await eventually(lambda: gateway.service.app[HELD_BODIES].held_bytes == 1, "it is read")
        await gateway.service.stop()
        heard = await caller.read_to_end()

    assert error_of(heard) == (503, "server_shutdown")
    (line,) = gateway.log.settled
    assert (line["outcome"], line["error_code"], line["status"]) == (
        "rejected",
        "server_shutdown",
        503,
    )


@pytest.mark.parametrize("leaves_while", ["it connects", "it waits", "it streams"])
async def test_a_trial_whose_caller_leaves_makes_room_for_the_next(
    open_scene: OpenScene, leaves_while: str
) -> None:
    """M04 and A06: nothing was found out, and nobody else is kept from trying."""
    async with SteppedProvider() as provider:
        scene = await open_scene(
            base_url=provider.base_url,
            breaker={"open_s": 60, "min_attempts": 2},
            recovers=False,
        )
        gate = scene.gateway.service.app[UPSTREAMS]["sim"].gate
        for _ in range(2):
            gate.note_failure(gate.enter("m"), UpstreamConnectError("No."))
        assert gate.state is BreakerState.OPEN
        gate._host._until = 0.0  # noqa: SLF001 - a minute has passed

        async with scene.call() as caller:
            if leaves_while != "it connects":
                await provider.wait_until_asked()
            if leaves_while == "it streams":
                await provider.send_head()
                await provider.send(event_of(role="assistant"))
            caller.reset()
        await scene.settled(1)
        assert gate.state is BreakerState.HALF_OPEN

        async with scene.call() as caller:
            await provider.wait_until_asked()
            # One at a time still: that somebody left is no success either.
            assert error_of(await scene.ask()) == (503, "provider_unavailable")
            await provider.send_head()
            await end_stream(provider, "whole")
            heard = scene.note(await caller.read_to_end())
        assert heard.status == 200


async def test_a_credential_that_is_refused_while_a_retry_waits_is_not_shown_again(
    open_scene: OpenScene,
) -> None:
    """F11 and F13: what others have found out meanwhile counts for who comes back to it."""
    environ = {"SIM_ONE": "sk-canary-one-51c0", "SIM_TWO": "sk-canary-two-9ab4"}
    one, two = environ.values()
    scene = await open_whole(
        open_scene,
        environ=environ,
        credentials=["${SIM_ONE}", "${SIM_TWO}"],
        retries=2,
        recovers=False,
    )
    simulator = scene.simulator
    busy: dict[str, Any] = {"error": {"status": 503, "retry_after": "0.5"}}
    stalled: dict[str, Any] = {"count": 5, "stall": {"after_tokens": 2}}
    relay = scene.gateway.service.app[RELAY]

    simulator.answer_credential(one, busy)
    async with scene.call("plain") as waiting, scene.call(stalled) as other:
        await other.read_until(b"word1")  # with the second one
        await eventually(lambda: relay.attempts_in_flight == 1, "the first one's waits")
        simulator.answer_credential(one, {"error": {"status": 401}})
        refused = await scene.ask("plain", CHAT)  # with the first one, and then with the second
        heard = scene.note(await waiting.read_to_end())

    assert (refused.status, heard.status, heard.is_whole) == (200, 200, True)
    shown = [(each.header("authorization"), each.status) for each in simulator.journal]
    assert shown.count((f"Bearer {one}", 503)) == 1
    assert shown.count((f"Bearer {one}", 401)) == 1
    assert shown.count((f"Bearer {two}", 200)) == 3
    await ended_once(scene, 3)


@pytest.mark.parametrize("path", PATHS)
async def test_who_half_closes_and_does_not_read_is_let_go_of(
    open_scene: OpenScene, path: str
) -> None:
    """A07 and A04: what it does not read keeps its connection, but no longer than a stall."""
    scene = await open_whole(open_scene, timeouts={"write_stall_s": 0.3})

    async with scene.call(LONG, path, small_buffer=True) as caller:
        served = await scene.simulator.journal.wait_for(lambda _: True)
        await caller.read_until(b"xxx")
        caller.half_close()
        await served.peer_left.wait()
        (line,) = await ended_once(scene)

    assert line["outcome"] == "client_gone"
    assert not served.finished


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("status", [413, 200])
async def test_an_answer_that_does_not_wait_for_the_request_is_heard(
    open_scene: OpenScene, policy: str, status: int
) -> None:
    """F09 and F11: a provider that refuses a large prompt at its head, and reads no more of it."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"error":{"message":"Too long."}}' if status == 413 else REPLY
        writer.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n" % status)
        writer.write(b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()  # with a reset: there is more to be read

    async with RawProvider(refuse) as provider:
        scene = await open_whole(open_scene, **at(provider.port), on_client_gone=policy)
        messages = [{"role": "user", "content": "x" * 20_000_000}]
        heard = await scene.ask(stream=False, messages=messages)
        (line,) = await ended_once(scene)

    assert (heard.status, line["status"]) == (status, status)
