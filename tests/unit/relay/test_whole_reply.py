"""Sending a reply that was held whole."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.relay.whole_reply import send_whole
from tests.plugins.raw_caller import Caller, request_bytes

TIMEOUT_S = 5
LARGE = bytes(2_000_000)


@pytest.fixture
async def port(sent: list[bool]) -> AsyncIterator[int]:
    """A listener that answers with one large reply and notes whether it was read."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201)
        stall_s = float(request.headers["X-Stall"])
        sent.append(await send_whole(request, response, LARGE, stall_s=stall_s))
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
def sent() -> list[bool]:
    """What `send_whole` said."""
    return []


async def test_a_large_reply_has_its_length_and_all_its_bytes(port: int, sent: list[bool]) -> None:
    """A client can tell whether all of it came."""
    async with Caller(port) as caller:
        await caller.send(request_bytes("/", {}, headers=("Connection: close", "X-Stall: 5")))
        heard = await caller.read_to_end()

    assert (heard.status, heard.body, sent) == (201, LARGE, [True])
    assert f"content-length: {len(LARGE)}" in heard.head


async def test_a_caller_that_reads_a_large_reply_slowly_gets_all_of_it(
    port: int, sent: list[bool]
) -> None:
    """On a line of 16 kbit/s a piece takes longer than anybody may stall."""
    stall_s = 0.5
    async with Caller(port, small_buffer=True) as caller:
        await caller.send(
            request_bytes("/", {}, headers=("Connection: close", f"X-Stall: {stall_s}"))
        )
        slow_until = asyncio.get_running_loop().time() + 2 * stall_s
        while asyncio.get_running_loop().time() < slow_until:
            await caller.read_some(3)
        assert sent == []
        heard = await caller.read_to_end()

    assert (heard.body, sent) == (LARGE, [True])


async def test_a_caller_that_does_not_read_a_large_reply_is_cut_off(
    port: int, sent: list[bool]
) -> None:
    """aiohttp by itself would wait for ever."""  # noqa: D403 - a name
    async with Caller(port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}, headers=("X-Stall: 0.05",)))
        async with asyncio.timeout(TIMEOUT_S):
            while not sent:  # noqa: ASYNC110 - the handler tells by its list alone
                await asyncio.sleep(0.005)
        heard = await caller.read_to_end()

    assert sent == [False]
    assert len(heard.body) < len(LARGE)
