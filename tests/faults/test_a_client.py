"""Faults of the caller's transport: silence, slowness, and leaving at every moment.

The rule here: deadlines are injected and answers are waited for; what a row asks of the network
itself (loss, a dead link) is provoked at the socket, where the gateway meets it. The kernel does it
in test_namespaces.py, where it may.
"""

import json
import random
import socket

import pytest

from gateway.core.tcp_reset import reset_on_close
from gateway.server.sockets import UNACKNOWLEDGED_MS
from tests.faults.conftest import OpenScene
from tests.plugins.open_files import need_files
from tests.plugins.proxies.running import Proxy
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import (
    PATHS,
    V1,
    Scene,
    body_of,
    error_of,
    raw_request,
)

SHORT_S = 0.1
STREAM = b"HTTP/1.1 200 OK"
HEAD = raw_request(f"POST {V1} HTTP/1.1", "Content-Length: 1000")
CHUNKED = raw_request(f"POST {V1} HTTP/1.1", "Transfer-Encoding: chunked")
FOREVER = {"count": 3, "stall": {"after_tokens": 2}}  # two tokens, then silence
LONG = {"count": 4000, "template": " " + "x" * 4000}  # more than all buffers hold


async def test_a_connection_that_says_nothing_is_closed(open_scene: OpenScene) -> None:
    """A01: aiohttp by itself would keep it for ever; it is counted, not logged."""
    scene = await open_scene(settings={"server": {"head_timeout_s": SHORT_S}})

    heard = await scene.send(b"")

    assert heard == Heard(b"")
    assert "gateway_connections_without_request_total 1.0" in scene.gateway.metrics
    assert scene.gateway.log.settled == []


async def test_a_head_that_comes_in_drops_does_not_hold_a_connection(
    open_scene: OpenScene,
) -> None:
    """A02: the deadline is for the whole head; each new byte does not begin it anew."""
    scene = await open_scene(settings={"server": {"head_timeout_s": 0.5}})
    callers = [Caller(scene.gateway.port) for _ in range(50)]
    for caller in callers:
        await caller.__aenter__()
        await caller.send(b"POST /v1/chat/completions HTTP/1.1\r\nX-Drip: ")

    drops = 0
    while await all_are_open(callers):
        drops += 1
        await scene.serve_bystander()  # what paces the drops is somebody who is served meanwhile

    assert drops > 3
    assert [await caller.read_to_end() for caller in callers] == [Heard(b"")] * 50
    assert len(scene.gateway.log.settled) == drops
    for caller in callers:
        caller.hang_up()


async def all_are_open(callers: list[Caller]) -> bool:
    """Send one more byte to each; False when one of them is closed."""
    try:
        for caller in callers:
            await caller.send(b"x")
    except ConnectionError:
        return False
    return True


async def test_half_a_head_after_a_request_is_not_waited_for(open_scene: OpenScene) -> None:
    """A02: a kept connection has a deadline for its next head as well."""
    scene = await open_scene(settings={"server": {"keep_alive_s": SHORT_S}})
    async with Caller(scene.gateway.port) as caller:
        await caller.send(raw_request("GET /api/keys HTTP/1.1"))
        await caller.read_until(b"\r\n\r\n")

        await caller.send(b"GET /api/keys HTTP/1.1\r\nHost: ")
        rest = await caller.read_to_end()

    assert b"HTTP/1.1" not in rest.raw


@pytest.mark.parametrize("request_bytes", [HEAD + b"{", CHUNKED + b"1\r\n{\r\n"])
async def test_a_body_that_stops_half_way_is_a_408(
    open_scene: OpenScene, request_bytes: bytes
) -> None:
    """A03: nothing is asked of a provider, and the caller is told what to do."""
    scene = await open_scene(settings={"server": {"request_body_timeout_s": SHORT_S}})

    async with Caller(scene.gateway.port) as caller:
        await caller.send(request_bytes)
        await scene.serve_bystander()
        heard = scene.note(await caller.read_answer())

    assert error_of(heard) == (408, "request_timeout")
    assert scene.upstream_requests == 0
    assert (await scene.settled())["outcome"] == "rejected"


async def test_a_body_that_comes_in_drops_has_one_deadline(open_scene: OpenScene) -> None:
    """A03: each byte that arrives does not begin the deadline anew."""
    scene = await open_scene(settings={"server": {"request_body_timeout_s": 0.3}})
    async with Caller(scene.gateway.port) as caller:
        await caller.send(HEAD)
        while not scene.gateway.log.settled or not any(
            line["provider"] is None for line in scene.gateway.log.settled
        ):
            await caller.send(b" ")
            await scene.serve_bystander()
        heard = scene.note(await caller.read_answer())

    assert error_of(heard) == (408, "request_timeout")


async def test_behind_nginx_a_slow_body_costs_the_gateway_nothing(
    scene_behind_nginx: Scene, nginx: Proxy
) -> None:
    """A03: nginx holds the body until it is whole; the gateway does not even hear of it."""
    scene = scene_behind_nginx
    body = b'{"model":"other/m","messages":[{"role":"user","content":"Hi"}]}'
    async with Caller(nginx.port) as caller:
        await caller.send(
            raw_request(f"POST {V1} HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close")
        )
        await caller.send(body[:-1])
        await scene.serve_bystander()
        assert scene.gateway.is_quiet

        await caller.send(body[-1:])
        heard = scene.note(await caller.read_to_end())

    assert heard.status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_caller_who_stops_reading_is_cut_off(open_scene: OpenScene, path: str) -> None:
    """A04: otherwise the answer, its connection and its memory are held for ever."""
    scene = await open_scene(timeouts={"write_stall_s": SHORT_S})

    async with scene.call(LONG, path, small_buffer=True):
        served = await scene.simulator.journal.wait_for(lambda _: True)
        await served.peer_left.wait()
        await scene.serve_bystander()

    line = await scene.settled()
    assert (line["outcome"], line["error_code"]) == ("client_gone", "client_stalled")
    assert (line["status"], line["tokens_source"]) == (200, "estimate")
    assert not served.finished  # the provider was held back all the while


async def test_a_caller_who_does_not_read_a_whole_reply_is_cut_off(open_scene: OpenScene) -> None:
    """A04: what is not streamed is larger than what the kernel takes, too."""
    scene = await open_scene(timeouts={"write_stall_s": SHORT_S})

    async with scene.call({"json_bytes": 8_000_000}, stream=False, small_buffer=True):
        line = await scene.settled()

    assert (line["outcome"], line["error_code"]) == ("client_gone", "client_stalled")


@pytest.mark.parametrize("path", PATHS)
async def test_a_reset_in_the_middle_ends_the_answer_upstream(scene: Scene, path: str) -> None:
    """A05: what nobody reads still costs money; what was relayed is counted."""
    async with scene.call(FOREVER, path) as caller:
        await caller.read_until(b"word1")
        caller.reset()
        served = await scene.simulator.journal.wait_for(lambda one: one.peer_left.is_set(), 1)

    line = await scene.settled()
    assert (line["outcome"], line["tokens_out"]) == ("client_gone", 3)
    assert served.content_tokens_sent == 2


@pytest.mark.parametrize("path", PATHS)
async def test_a_reset_behind_nginx_is_seen(
    scene_behind_nginx: Scene, nginx: Proxy, path: str
) -> None:
    """A05: nginx closes its own connection as soon as the caller has left."""
    scene = scene_behind_nginx

    async with scene.call(FOREVER, path, port=nginx.port) as caller:
        await caller.read_until(b"word1")
        caller.reset()
        await scene.simulator.journal.wait_for(lambda one: one.peer_left.is_set())

    assert (await scene.settled())["outcome"] == "client_gone"


@pytest.mark.parametrize("place", ["before_head", "after_head"])
@pytest.mark.parametrize("path", PATHS)
async def test_leaving_before_the_first_token_ends_the_answer_upstream(
    scene: Scene, path: str, place: str
) -> None:
    """A06: a provider that is still thinking would go on, and be paid for it."""
    async with scene.call({"stall": {"at": place}}, path) as caller:
        served = await scene.simulator.journal.wait_for(lambda _: True)
        caller.hang_up()
        await served.peer_left.wait()

    line = await scene.settled()
    assert (line["outcome"], line["status"], line["error_code"]) == ("client_gone", 499, None)


@pytest.mark.parametrize("path", PATHS)
async def test_a_provider_that_is_drained_is_read_to_its_end(
    open_scene: OpenScene, path: str
) -> None:
    """A06: where the whole answer is billed anyway, its own count of tokens is worth having."""
    scene = await open_scene(on_client_gone="drain")
    directive = {"count": 5, "stall": {"after_tokens": 2, "for_s": 0.2}}

    async with scene.call(directive, path) as caller:
        await caller.read_until(b"word1")
        caller.hang_up()

    line = await scene.settled()
    assert scene.simulator.journal.last.finished
    assert (line["outcome"], line["tokens_out"]) == ("client_gone", 5)
    assert line["tokens_source"] == "provider"


async def test_leaving_while_the_next_attempt_waits_asks_nobody_again(
    open_scene: OpenScene,
) -> None:
    """A06: an attempt for a caller who has left is bought for nobody."""
    scene = await open_scene(retries=2)
    refusal = {"error": {"status": 503, "retry_after": "4"}}

    async with scene.call(refusal) as caller:
        await scene.simulator.journal.wait_for(lambda one: one.done.is_set())
        caller.hang_up()
        line = await scene.settled()

    assert (line["outcome"], line["attempts"]) == ("client_gone", 1)
    assert scene.upstream_requests == 1


async def test_leaving_in_the_middle_of_a_body_is_no_error_of_ours(scene: Scene) -> None:
    """A06: a page that is closed while it uploads is everyday."""
    async with Caller(scene.gateway.port) as caller:
        await caller.send(HEAD + b"{")
        await scene.serve_bystander()
        caller.hang_up()
        line = await scene.settled()

    assert line["outcome"] in {"client_gone", "rejected"}
    assert scene.upstream_requests == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_half_closed_connection_is_taken_for_one_that_left(scene: Scene, path: str) -> None:
    """A07: nothing tells it from a caller who is gone; it must only not be an error of ours."""
    async with scene.call(FOREVER, path) as caller:
        caller.half_close()
        await caller.read_to_end()

    line = await scene.settled()
    assert line["outcome"] == "client_gone"


async def test_a_link_that_goes_down_is_noticed_by_the_kernel(scene: Scene) -> None:
    """A08: nothing arrives any more, not even an acknowledgement; only the kernel can tell."""
    async with Caller(scene.gateway.port) as caller:
        await caller.send(raw_request("GET /api/keys HTTP/1.1"))
        await caller.read_until(b"\r\n\r\n")
        server = scene.gateway.service._runner.server  # noqa: SLF001 - the socket it accepted
        assert server is not None
        (connection,) = server.connections
        accepted = connection.transport.get_extra_info("socket")

        options = {
            "keep-alive": accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            "idle": accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            "unacknowledged": accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        }

    assert options == {"keep-alive": 1, "idle": 30, "unacknowledged": UNACKNOWLEDGED_MS}


async def test_a_burst_of_connections_is_not_dropped(scene: Scene) -> None:
    """A10: when a front end restarts, all its callers come back before one of them is accepted."""
    need_files(2_000)
    address = ("127.0.0.1", scene.gateway.port)
    # Without a turn of the loop: nobody accepts.
    callers = [socket.create_connection(address, timeout=2) for _ in range(600)]

    await scene.serve_bystander()
    for caller in callers:
        caller.close()


async def test_connections_that_come_and_go_leave_nothing(scene: Scene) -> None:
    """A10: what is counted at the end of every test is counted after a thousand of them."""
    for turn in range(300):
        async with Caller(scene.gateway.port) as caller:
            await caller.send(b"GET /api/keys HTTP/1.1\r\n"[: turn % 26])
            if turn % 3 == 0:
                caller.reset()


@pytest.mark.parametrize("authorized", [True, False])
async def test_who_left_before_they_were_accepted_is_gone(
    open_scene: OpenScene, *, authorized: bool
) -> None:
    """A10: a restart takes a while, and who has given up meanwhile is nobody who is refused.

    Their connection has no address any more: on this machine it was 401 without `auth` as well.
    """
    scene = await open_scene()
    body = json.dumps(body_of(V1, "plain")).encode()
    length = f"Content-Length: {len(body)}"
    # Not a turn of the loop from here to the reset: the connection is the kernel's alone.
    with socket.create_connection(("127.0.0.1", scene.gateway.port)) as caller:
        caller.sendall(raw_request(f"POST {V1} HTTP/1.1", length, body=body, authorized=authorized))
        reset_on_close(caller)

    line = await scene.settled()

    assert (line["outcome"], line["status"], line["error_code"]) == ("client_gone", 499, None)
    assert (line["client"], line["attempts"]) == ("unknown", 0)
    assert scene.upstream_requests == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"\x00" * 100 + b"\r\n\r\n",
        b"\xff\xfe\x1b[31mred\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["tls", "zeros", "terminal", "http2"],
)
async def test_what_is_no_http_is_answered_once_and_closed(
    open_scene: OpenScene, garbage: bytes
) -> None:
    """A11: scanners are everyday: a line for whoever debugs, and nothing of theirs as it came."""
    scene = await open_scene(settings={"logging": {"level": "debug"}})

    heard = await scene.send(garbage)

    assert error_of(heard) == (400, "malformed_request")
    (line,) = [line for line in scene.gateway.log.lines if line["event"] == "request.malformed"]
    assert len(line["text"]) <= 100
    assert line["text"].isprintable()
    assert scene.gateway.log.settled == []


async def test_a_caller_on_a_bad_line_gets_every_byte(scene: Scene) -> None:
    """A13: losses reach the gateway as acknowledgements that come late and in odd sizes."""
    draw = random.Random(13)  # noqa: S311 - the same line every time
    directive = {"count": 500, "template": " " + "y" * 400}

    async with scene.call(directive, small_buffer=True) as caller:
        while await caller.read_some(draw.choice((1, 7, 400, 3000))):
            if draw.random() < 0.05:
                await scene.serve_bystander()
        heard = scene.note(Heard(bytes(caller.raw)))

    assert heard.is_whole
    assert heard.body == scene.simulator.journal.last.body_sent.replace(*usage_event(scene))


def usage_event(scene: Scene) -> tuple[bytes, bytes]:
    """What is left out of a stream whose caller did not ask for usage."""
    events = scene.simulator.journal.last.body_sent.split(b"\n\n")
    (event,) = [event for event in events if b'"prompt_tokens"' in event]
    return event + b"\n\n", b""


def streamed(directive: object) -> bytes:
    """A whole request in OpenAI's dialect."""
    body = json.dumps(body_of(V1, directive)).encode()
    return raw_request(f"POST {V1} HTTP/1.1", f"Content-Length: {len(body)}", body=body)
