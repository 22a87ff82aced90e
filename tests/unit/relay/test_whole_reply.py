"""Sending a reply that was held whole."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.core.exchange import Exchange
from gateway.relay.whole_reply import send_whole
from tests.plugins.raw_caller import Caller, request_bytes

TIMEOUT_S = 20  # ends a test that hangs
LARGE = bytes(2_000_000)
SLOW_BYTES_A_S = 40_000  # a piece takes three times as long as the test lets anybody stall

Sent = asyncio.Queue[tuple[bool, int]]


@pytest.fixture
async def port(sent: Sent) -> AsyncIterator[int]:
    """A listener that answers with one large reply and notes whether it was read."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201)
        stall_s = float(request.headers["X-Stall"])
        exchange = Exchange("req-1", 0.0, "POST", "/", "", ())
        was_read = await send_whole(request, response, LARGE, exchange, stall_s=stall_s)
        sent.put_nowait((was_read, exchange.bytes_out))
        return response

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    await web.SockSite(runner, listening).start()
    yield listening.getsockname()[1]
    await runner.cleanup()


@pytest.fixture
def sent() -> Sent:
    """What `send_whole` said, and how much it sent."""
    return asyncio.Queue()


async def test_a_large_reply_has_its_length_and_all_its_bytes(port: int, sent: Sent) -> None:
    """A client can tell whether all of it came."""
    async with Caller(port) as caller:
        await caller.send(request_bytes("/", {}, headers=("Connection: close", "X-Stall: 5")))
        heard = await caller.read_to_end()

    assert (heard.status, heard.body) == (201, LARGE)
    assert await sent.get() == (True, len(LARGE))
    assert f"content-length: {len(LARGE)}" in heard.head


async def test_a_caller_that_reads_a_large_reply_slowly_gets_all_of_it(
    port: int, sent: Sent
) -> None:
    """On a line of 16 kbit/s a piece takes longer than anybody may stall."""
    stall_s = 0.5
    async with Caller(port, small_buffer=True) as caller:
        await caller.send(
            request_bytes("/", {}, headers=("Connection: close", f"X-Stall: {stall_s}"))
        )
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        while (for_s := loop.time() - began_at) < 2 * stall_s:
            if len(caller.raw) < for_s * SLOW_BYTES_A_S:
                await caller.read_some(4_096)
            else:  # so far it has kept up with its line
                await asyncio.sleep(0)
        assert sent.empty()
        heard = await caller.read_to_end()

    assert heard.body == LARGE
    assert await sent.get() == (True, len(LARGE))


async def test_a_caller_that_does_not_read_a_large_reply_is_cut_off(port: int, sent: Sent) -> None:
    """aiohttp by itself would wait for ever."""  # noqa: D403 - a name
    async with Caller(port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}, headers=("X-Stall: 0.05",)))
        async with asyncio.timeout(TIMEOUT_S):
            was_read, bytes_out = await sent.get()
        heard = await caller.read_to_end()

    assert not was_read
    assert len(heard.body) <= bytes_out < len(LARGE)
