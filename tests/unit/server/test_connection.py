"""What aiohttp's server does not do by itself."""

import asyncio
import socket

import pytest
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.app import CHAIN
from gateway.config.settings import ServerSpec
from gateway.server.connection import LAST_CALL_S, MAX_TEXT_CHARS
from gateway.server.site import (
    close_idle_connections,
    last_call_s,
    listen,
    make_runner,
    retire_connections,
)
from tests.plugins.chain import LogLines, StartChain, parse_reply, render_request

HURRIED = ServerSpec(head_timeout_s=0.05)
HALF_A_HEAD = b"GET /api/keys HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow"
SECRET = "sk-proj-CanaryCanaryCanaryCanary"

MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no method": b"hello\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length and chunked": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "length with a sign": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
    "chunked is not last": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n"
    ),
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "blank before the colon": b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "too many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 10_000 + b"\r\n\r\n",
    "long line": b"GET /" + b"b" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "secret": b"GET / HTTP/1.1\r\nHost: x\r\nX-Key\x01: " + SECRET.encode() + b"\r\n\r\n",
    "secret first": b"gw-" + SECRET.encode() + b"\\r\\nConnection: close\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_request_is_400_as_json(
    start_chain: StartChain, log_lines: LogLines, raw: bytes
) -> None:
    """The answer of aiohttp itself is plain text and quotes the bytes."""
    chain = await start_chain()

    reply = parse_reply(await chain.send(raw))

    assert reply.status == 400
    assert reply.json()["error"]["code"] == "malformed_request"
    assert reply.json()["error"]["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["content-type"].startswith("application/json")
    assert not reply.body.count(b"bbbb")
    assert SECRET.encode() not in reply.raw
    [line] = log_lines.find("request.malformed")
    assert line["request_id"] == reply.headers["x-request-id"]
    assert len(line["text"]) <= MAX_TEXT_CHARS
    assert SECRET not in log_lines.text
    assert len(log_lines.text.splitlines()) == 1


@pytest.mark.parametrize("sent", [b"", b"G", HALF_A_HEAD], ids=["nothing", "a byte", "half a head"])
async def test_a_connection_without_a_request_is_closed(
    start_chain: StartChain, log_lines: LogLines, sent: bytes
) -> None:
    """By itself aiohttp waits for ever; a thousand such connections cost a caller nothing."""
    chain = await start_chain(server=HURRIED)
    reader, writer = await chain.connect()
    writer.write(sent)

    assert await reader.read() == b""
    assert log_lines.text == ""
    writer.close()


def test_a_deadline_that_is_no_time_is_kept_as_well() -> None:
    """Below a millisecond uvloop gives no timer that could be asked when it was due."""
    spec = ServerSpec(head_timeout_s=0.0001)

    async def visit() -> bytes:
        runner = make_runner(web.Application(), shutdown_s=0.1)
        await runner.setup()
        [site] = await listen(runner, "127.0.0.1", 0, spec)
        port = int(site.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            heard = await reader.read()
        writer.close()
        await runner.cleanup()
        return heard

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        assert loop.run(visit()) == b""


async def test_the_deadline_is_for_the_head_alone(start_chain: StartChain) -> None:
    """An answer may take an hour."""
    released = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response(text="late")

    chain = await start_chain(wait, server=HURRIED)
    asked = asyncio.ensure_future(chain.ask())
    idle_reader, idle_writer = await chain.connect()
    await idle_reader.read()  # by now the deadline of the other one has passed too
    released.set()

    assert (await asked).body == b"late"
    idle_writer.close()


async def test_a_connection_is_used_again(start_chain: StartChain) -> None:
    """Keep-alive is what makes the second request cheap; its deadline is another one."""
    chain = await start_chain(server=HURRIED)
    reader, writer = await chain.connect()
    request = render_request("GET", "/api/keys", headers=[("Connection", "keep-alive")])

    for _ in range(3):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(b'{"ok": true}'))
        idle_reader, idle_writer = await chain.connect()
        await idle_reader.read()  # longer than the head's deadline
        idle_writer.close()

        assert head.startswith(b"HTTP/1.1 200")
    writer.close()


async def test_an_unused_connection_is_closed_after_keep_alive(start_chain: StartChain) -> None:
    """Callers open more than they use."""
    chain = await start_chain(server=ServerSpec(keep_alive_s=0.05))
    reader, writer = await chain.connect()
    writer.write(render_request("GET", "/api/keys", headers=[("Connection", "keep-alive")]))

    received = await reader.read()

    assert received.startswith(b"HTTP/1.1 200")
    writer.close()


async def test_pipelined_requests_are_answered_in_order(start_chain: StartChain) -> None:
    """Some clients send the next before the answer to the last."""
    chain = await start_chain()
    keep = [("Connection", "keep-alive")]
    raw = b"".join(
        render_request("GET", "/api/keys", headers=[*keep, ("X-Request-ID", f"n{number}")])
        for number in range(5)
    )
    reader, writer = await chain.connect()
    writer.write(raw)

    ids = []
    for _ in range(5):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(b'{"ok": true}'))
        ids.append(head.partition(b"X-Request-ID: ")[2].partition(b"\r\n")[0])

    assert ids == [b"n0", b"n1", b"n2", b"n3", b"n4"]
    writer.close()


async def test_an_error_outside_of_the_chain_is_json_too(
    start_chain: StartChain, log_lines: LogLines
) -> None:
    """An operator's middleware may stand before the one that renders errors."""

    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001
        raise ValueError("a bug")

    chain = await start_chain(chain=(CHAIN[0], fail))

    reply = await chain.ask(path="/v1/models")

    assert (reply.status, reply.json()["error"]["code"]) == (500, "internal_error")
    assert reply.headers["x-should-retry"] == "false"
    assert "a bug" in log_lines.find("request.crashed")[0]["exception"]


@pytest.mark.parametrize(
    ("error", "status"), [(web.HTTPFound("/x"), 302), (web.HTTPServiceUnavailable(), 503)]
)
async def test_what_is_raised_outside_of_the_chain_keeps_its_status(
    start_chain: StartChain, error: web.HTTPException, status: int
) -> None:
    """Only its plain text is replaced."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001
        raise error

    chain = await start_chain(chain=(CHAIN[0], refuse))

    assert (await chain.ask()).status == status


async def test_a_connection_that_retires_answers_what_it_has(start_chain: StartChain) -> None:
    """A gateway that stops loses no request that it has taken."""
    begun, released = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        begun.set()
        await released.wait()
        return web.Response(text="whole")

    chain = await start_chain(wait)
    asked = asyncio.ensure_future(chain.ask(headers=[("Connection", "keep-alive")]))
    await begun.wait()
    retire_connections(chain.runner)

    released.set()
    reply = await asked
    assert (reply.body, reply.headers["connection"]) == (b"whole", "close")


async def test_a_connection_that_retires_takes_what_is_on_its_way(start_chain: StartChain) -> None:
    """A proxy has sent it before it can know; lost, it is an error that nobody tries again."""
    chain = await start_chain()
    new, used = await chain.connect(), await chain.connect()
    asked = render_request("GET", "/api/keys", headers=[("Connection", "keep-alive")])
    used[1].write(asked)
    first = await used[0].readuntil(b"\r\n\r\n")
    retire_connections(chain.runner)

    for reader, writer in (new, used):
        writer.write(asked)
        heard = await reader.read()
        assert b"HTTP/1.1 200 OK" in heard
        assert b"Connection: close" in heard
        writer.close()
    assert b"Connection: close" not in first


async def test_a_connection_that_retires_is_closed_when_nobody_uses_it(
    start_chain: StartChain,
) -> None:
    """A gateway that stops does not wait for callers who may never come back."""
    chain = await start_chain()
    reader, writer = await chain.connect()
    assert last_call_s(chain.runner) == 0

    retire_connections(chain.runner)

    assert 0 < last_call_s(chain.runner) <= LAST_CALL_S
    assert await reader.read() == b""
    assert last_call_s(chain.runner) == 0
    writer.close()


async def test_only_connections_that_wait_for_another_request_are_closed(
    start_chain: StartChain,
) -> None:
    """M02: whoever has not asked yet may be about to, and whoever has asked is being answered."""
    begun, released = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            begun.set()
            await released.wait()
        return web.Response(text="whole")

    chain = await start_chain(wait)
    new, used = await chain.connect(), await chain.connect()
    asked = render_request("GET", "/api/keys", headers=[("Connection", "keep-alive")])
    used[1].write(asked)
    await used[0].readuntil(b"whole")
    body = b'{"model":"groq/m","messages":[{"role":"user","content":"Hi"}]}'
    busy = asyncio.ensure_future(chain.ask("POST", "/v1/chat/completions", body=body))
    await begun.wait()

    close_idle_connections(chain.runner)

    assert await used[0].read() == b""
    released.set()
    assert (await busy).body == b"whole"
    new[1].write(asked)
    assert await new[0].readuntil(b"whole")
    new[1].close()
    used[1].close()


async def test_after_a_stream_that_retires_one_more_request_is_taken(
    start_chain: StartChain,
) -> None:
    """Its head has promised to keep the connection, and the proxy has sent the next one into it."""
    begun, released = asyncio.Event(), asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        begun.set()
        await released.wait()
        await response.write(b"end")
        return response

    chain = await start_chain(stream)
    reader, writer = await chain.connect()
    asked = render_request("GET", "/api/keys", headers=[("Connection", "keep-alive")])
    writer.write(asked)
    await begun.wait()
    retire_connections(chain.runner)
    released.set()
    first = await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.write(asked)
    second = await reader.read()
    writer.close()

    assert b"Connection: close" not in first
    assert b"Connection: close" in second
    assert second.endswith(b"end\r\n0\r\n\r\n")


async def test_accepted_sockets_are_tuned() -> None:
    """A caller that does not read must not be given megabytes of the kernel's memory."""
    seen: dict[str, int] = {}

    async def look(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("socket")
        seen["sndbuf"] = peer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        seen["keepalive"] = peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        seen["nodelay"] = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", look)
    runner = make_runner(app, shutdown_s=0.1)
    await runner.setup()
    [site] = await listen(runner, "127.0.0.1", 0, ServerSpec())
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    writer.write(render_request("GET", "/"))
    await reader.read()
    writer.close()
    await runner.cleanup()

    assert seen["sndbuf"] <= 2 * 64 * 1024  # the kernel doubles it
    assert (seen["keepalive"] > 0, seen["nodelay"] > 0) == (True, True)
