"""The caller's side of a stream, on a real aiohttp connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.relay.downstream import HIGH_WATER_BYTES, Downstream, make_response
from tests.plugins.own_time import OwnTimeLoop
from tests.plugins.raw_caller import LAST_CHUNK, Caller, Heard, request_bytes

TIMEOUT_S = 20  # ends a test that hangs
STALL_S = 0.05
RESPONSE: web.RequestKey[web.StreamResponse] = web.RequestKey("response", web.StreamResponse)
Steps = Callable[[Downstream, web.Request], Awaitable[None]]


class Listener:
    """A server whose handler opens a downstream and does a test's steps with it."""

    def __init__(self) -> None:
        self.steps: list[Steps] = []
        self.joins_held = False
        self.port = 0
        self.over = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        await web.SockSite(self._runner, listening).start()
        self.port = listening.getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        response = make_response(request, {})
        downstream = Downstream(joins_held=self.joins_held)
        request[RESPONSE] = response
        try:
            await self.steps.pop(0)(downstream, request)
        finally:
            downstream.detach()
            self.over.set()
        return response


@asynccontextmanager
async def started() -> AsyncIterator[Listener]:
    """A started listener."""
    opened = Listener()
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """A started listener, in the loop of the test."""
    async with started() as opened:
        yield opened


async def hear(listener: Listener, steps: Steps, **fields: Any) -> Heard:
    """What a caller hears while these steps are done."""
    listener.steps.append(steps)
    async with Caller(listener.port) as caller:
        await caller.send(request_bytes("/", {}, headers=("Connection: close",), **fields))
        return await caller.read_to_end()


async def test_each_piece_is_a_chunk_of_its_own(listener: Listener) -> None:
    """One chunk per delta, as the front end has always had it (contract 1.3)."""

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        downstream.put([b"Hel"])
        downstream.put([b"lo ", "wörld".encode()])
        assert downstream.bytes_out == 12

    heard = await hear(listener, steps)

    assert heard.chunks == [b"Hel", b"lo ", "wörld".encode()]
    assert heard.is_whole


async def test_what_is_held_leaves_with_the_head_in_order(listener: Listener) -> None:
    """Comments and role chunks come before the content that commits."""

    async def steps(downstream: Downstream, request: web.Request) -> None:
        downstream.put([b"a"])
        downstream.put([b"b", b"c"])
        assert (downstream.held_bytes, downstream.bytes_out, downstream.is_open) == (3, 0, False)
        await downstream.open(request, request[RESPONSE])
        assert (downstream.bytes_out, downstream.is_open) == (3, True)
        downstream.put([b"d"])

    assert (await hear(listener, steps)).body == b"abcd"


@pytest.mark.parametrize(
    ("joins_held", "chunks"),
    [(True, [b"abc", b"d", b"e"]), (False, [b"a", b"b", b"c", b"d", b"e"])],
)
async def test_what_was_held_is_one_chunk_only_where_nobody_sees_the_difference(
    listener: Listener, *, joins_held: bool, chunks: list[bytes]
) -> None:
    """Events are events in one chunk or three; a delta of text is a chunk (contract 1.3)."""
    listener.joins_held = joins_held

    async def steps(downstream: Downstream, request: web.Request) -> None:
        downstream.put([b"a"])
        downstream.put([b"b", b"c"])
        await downstream.open(request, request[RESPONSE])
        downstream.put([b"d"])
        downstream.close(request[RESPONSE], b"e")
        assert downstream.bytes_out == 5

    heard = await hear(listener, steps)

    assert heard.chunks == chunks
    assert heard.is_whole


async def test_the_last_piece_waits_for_the_end_of_the_handler(listener: Listener) -> None:
    """A mistake further out must not find the terminator sent already."""

    async def steps(downstream: Downstream, request: web.Request) -> None:
        downstream.put([b"a"])
        await downstream.open(request, request[RESPONSE])
        downstream.close(request[RESPONSE], b"[DONE]")
        assert request.transport is not None
        request.transport.close()  # as `guard_stream` does

    heard = await hear(listener, steps)

    assert heard.body == b"a"
    assert not heard.is_whole


async def test_a_piece_too_large_for_the_first_write_is_not_waited_for(listener: Listener) -> None:
    """Aiohttp would wait for its reader, for ever."""
    opened = asyncio.Event()

    async def steps(downstream: Downstream, request: web.Request) -> None:
        downstream.put([bytes(4_000_000)])
        await downstream.open(request, request[RESPONSE])
        opened.set()
        downstream.break_off(b"", stall_s=STALL_S)

    listener.steps.append(steps)
    async with Caller(listener.port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}))
        async with asyncio.timeout(TIMEOUT_S):
            await opened.wait()


async def test_the_head_leaves_even_when_nothing_is_held(listener: Listener) -> None:
    """After `commit.v1_max_wait_s` the caller must see a status."""
    go_on = asyncio.Event()

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        await go_on.wait()

    listener.steps.append(steps)
    async with Caller(listener.port) as caller:
        await caller.send(request_bytes("/", {}))
        head = await caller.read_until(b"\r\n\r\n")
        go_on.set()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert await caller.read_until(LAST_CHUNK) == LAST_CHUNK


async def test_an_http_1_0_caller_gets_the_same_bytes_unframed(listener: Listener) -> None:
    """It is what nginx speaks by default."""

    async def steps(downstream: Downstream, request: web.Request) -> None:
        downstream.put([b"a"])
        await downstream.open(request, request[RESPONSE])
        downstream.put([b"b"])
        downstream.put([b"c", b"d"])

    heard = await hear(listener, steps, version="1.0")

    assert (heard.is_chunked, heard.body, heard.was_reset) == (False, b"abcd", False)
    assert "keep-alive" not in heard.head


@pytest.mark.parametrize("last_words", [b"", b"data: oops\n\n"])
async def test_a_broken_stream_has_no_last_chunk(listener: Listener, last_words: bytes) -> None:
    """The last chunk would say that all of it came."""

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        downstream.put([b"a"])
        downstream.break_off(last_words, stall_s=TIMEOUT_S)
        downstream.put([b"late"])
        await downstream.reset(stall_s=TIMEOUT_S)

    heard = await hear(listener, steps)

    assert heard.body == b"a" + last_words
    assert not heard.is_whole
    assert heard.chunks[-1] != b""


@pytest.mark.parametrize("last_words", [b"", b"data: oops\n\n"])
async def test_a_broken_stream_ends_with_a_reset_for_http_1_0(
    listener: Listener, last_words: bytes
) -> None:
    """There a FIN is the clean end, and nginx passes it on as one."""

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        downstream.put([b"a"])
        downstream.break_off(last_words, stall_s=TIMEOUT_S)
        await downstream.reset(stall_s=TIMEOUT_S)

    heard = await hear(listener, steps, version="1.0")

    assert heard.was_reset
    assert heard.body == b"a" + last_words


async def test_a_broken_http_1_0_caller_that_does_not_read_is_reset_all_the_same(
    listener: Listener,
) -> None:
    """The wait for the last words has an end."""

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        downstream.put([bytes(4_000_000)])
        downstream.break_off(b"data: oops\n\n", stall_s=STALL_S)
        await downstream.reset(stall_s=STALL_S)

    listener.steps.append(steps)
    async with Caller(listener.port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}, version="1.0"))
        async with asyncio.timeout(TIMEOUT_S):
            await listener.over.wait()
        assert (await caller.read_to_end()).was_reset


async def test_detached_it_writes_nothing_into_the_next_answer(listener: Listener) -> None:
    """A late byte of one answer in another one is somebody else's text (measured)."""
    first: list[Downstream] = []

    async def begin(downstream: Downstream, request: web.Request) -> None:
        first.append(downstream)
        await downstream.open(request, request[RESPONSE])
        downstream.put([b"first"])
        downstream.detach()

    async def follow(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        first[0].put([b"late"])
        first[0].break_off(b"late words", stall_s=STALL_S)
        await first[0].reset(stall_s=STALL_S)
        assert await first[0].drain(STALL_S)
        downstream.put([b"second"])

    listener.steps += [begin, follow]
    async with Caller(listener.port) as caller:
        await caller.send(request_bytes("/", {}))
        one = await caller.read_until(LAST_CHUNK)
        await caller.send(request_bytes("/", {}))
        two = await caller.read_until(LAST_CHUNK)

    assert Heard(one).body == b"first"
    assert Heard(two).body == b"second"


async def test_a_gone_caller_is_written_to_in_vain(listener: Listener) -> None:
    """uvloop raises on a closing transport; the provider's callback must not see that."""  # noqa: D403 - a name
    left: list[Downstream] = []

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        assert request.transport is not None
        request.transport.abort()
        downstream.put([b"a"])
        downstream.put([b"b"])
        downstream.break_off(b"oops", stall_s=STALL_S)
        left.append(downstream)

    heard = await hear(listener, steps)

    assert heard.body == b""
    assert not left[0].is_open
    assert left[0].bytes_out == 0


@pytest.mark.parametrize(("version", "takes"), [("1.1", True), ("1.0", False)])
async def test_a_framed_chunk_leaves_as_it_stands_where_there_is_framing(
    listener: Listener, version: str, *, takes: bool
) -> None:
    """A caller without chunks would read the size as text."""
    seen: list[bool] = []

    async def steps(downstream: Downstream, request: web.Request) -> None:
        seen.append(downstream.takes_chunks)
        await downstream.open(request, request[RESPONSE])
        seen.append(downstream.takes_chunks)
        if takes:
            downstream.put_framed(b"3\r\nabc\r\n")
        assert downstream.bytes_out == 0  # whoever has framed it counts it
        downstream.detach()
        seen.append(downstream.takes_chunks)
        downstream.put_framed(b"4\r\nlate\r\n")
        seen.append(downstream.is_open)

    heard = await hear(listener, steps, version=version)

    assert seen == [False, takes, False, False]
    assert heard.body == (b"abc" if takes else b"")


async def test_a_framed_chunk_for_a_gone_caller_is_written_in_vain(listener: Listener) -> None:
    """The provider's callback must not see it, and no second one is tried."""
    left: list[int] = []

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        assert request.transport is not None
        request.transport.abort()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # now it is lost
            for _ in range(3):
                downstream.put_framed(b"1\r\na\r\n")
            left.append(downstream.bytes_out)
            raise

    assert (await hear(listener, steps)).body == b""
    assert left == [0]


async def test_framed_chunks_go_through_the_same_mark(listener: Listener) -> None:
    """Nearly all that a slow caller gets is one of those."""
    full = asyncio.Event()

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        downstream.put_framed(b"2000\r\n%b\r\n" % bytes(8192))  # nobody is to be told yet
        downstream.on_full = full.set
        while not full.is_set():
            assert downstream.unsent_bytes <= HIGH_WATER_BYTES
            downstream.put_framed(b"2000\r\n%b\r\n" % bytes(8192))
        assert downstream.unsent_bytes > HIGH_WATER_BYTES

    listener.steps.append(steps)
    async with Caller(listener.port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}))
        async with asyncio.timeout(TIMEOUT_S):
            await full.wait()


async def test_a_slow_caller_is_noticed_and_waited_for(listener: Listener) -> None:
    """Back-pressure begins above the high-water mark and ends when they have read."""
    full: list[int] = []
    caught_up = asyncio.Event()

    async def steps(downstream: Downstream, request: web.Request) -> None:
        downstream.on_full = lambda: full.append(downstream.bytes_out)
        await downstream.open(request, request[RESPONSE])
        while not full:
            downstream.put([bytes(8192)])
        assert await downstream.drain(TIMEOUT_S)
        caught_up.set()

    listener.steps.append(steps)
    async with Caller(listener.port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}, headers=("Connection: close",)))
        heard = await caller.read_to_end()

    assert caught_up.is_set()
    assert len(heard.body) == full[0] > HIGH_WATER_BYTES


def test_a_caller_that_reads_slowly_has_not_stopped() -> None:
    """What is buffered may take longer to leave than anybody may stall; measured on a real line."""
    with asyncio.Runner(loop_factory=OwnTimeLoop) as runner:
        runner.run(read_slowly())


async def read_slowly() -> None:
    """Take a little all the time, for three times as long as a caller may take nothing."""
    stall_s = 0.2
    drained: list[bool] = []

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        downstream.put([bytes(4_000_000)])
        drained.append(await downstream.drain(stall_s))

    async with started() as listener, Caller(listener.port, small_buffer=True) as caller:
        listener.steps.append(steps)
        await caller.send(request_bytes("/", {}, headers=("Connection: close",)))
        await caller.read_until(b"\r\n\r\n")
        slow_until = asyncio.get_running_loop().time() + 3 * stall_s
        while asyncio.get_running_loop().time() < slow_until:
            await caller.read_some(20)
        assert drained == []
        await caller.read_to_end()

    assert drained == [True]
    assert caller.raw.endswith(LAST_CHUNK)


async def test_a_caller_that_stops_reading_is_cut_off(listener: Listener) -> None:
    """`close()` would wait for the very reader that does not read."""
    drained: list[bool] = []

    async def steps(downstream: Downstream, request: web.Request) -> None:
        await downstream.open(request, request[RESPONSE])
        downstream.put([bytes(4_000_000)])
        drained.append(await downstream.drain(STALL_S))
        assert not downstream.is_open

    listener.steps.append(steps)
    async with Caller(listener.port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}))
        async with asyncio.timeout(TIMEOUT_S):
            await listener.over.wait()
        heard = await caller.read_to_end()

    assert drained == [False]
    assert not heard.is_whole


async def test_what_is_held_for_a_slow_caller_counts_as_full(listener: Listener) -> None:
    """Held or written, what the caller has not read goes through the same mark."""
    full: list[int] = []

    async def steps(downstream: Downstream, request: web.Request) -> None:
        downstream.on_full = lambda: full.append(downstream.bytes_out)
        downstream.put([bytes(4_000_000)])
        await downstream.open(request, request[RESPONSE])

    listener.steps.append(steps)
    async with Caller(listener.port, small_buffer=True) as caller:
        await caller.send(request_bytes("/", {}))
        async with asyncio.timeout(TIMEOUT_S):
            await listener.over.wait()

    assert full == [0, 4_000_000]
