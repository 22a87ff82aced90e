"""What a fault costs the process: memory for callers who do not read, and files that run out.

The rule here: the gateway is a process of its own, measured by the kernel; figures are upper bounds
with room, since what is held is bounded or grows with the fault, and nothing in between.
"""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.server.connection_limit import count_places
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.open_files import need_files
from tests.plugins.raw_caller import Caller
from tests.plugins.raw_provider import RawProvider, read_request, stream_around
from tests.plugins.scene import AUTH, DONE, V1, body_of, raw_request

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is read from /proc"
)

MEBIBYTE = 1024 * 1024
STREAM_BYTES = 64 * MEBIBYTE  # what the provider has ready for each caller
PER_CALLER_BYTES = 4 * MEBIBYTE
FEW_FILES = 256
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
JSON_HEAD = HEAD.replace(b"text/event-stream", b"application/json")
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


def event_of(text: str) -> bytes:
    """One event with text."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


EVENT = event_of("x" * 16_000)


def provider_of(*pieces: bytes, times: int = 1, end: bytes = b"") -> RawProvider:
    """A provider that sends the pieces as fast as they are taken, over and over."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(pieces[0])
        for _ in range(times):
            for piece in pieces[1:]:
                writer.write(piece)
                await writer.drain()
        writer.write(end)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return RawProvider(serve)


def entry(provider: RawProvider, **fields: Any) -> dict[str, Any]:
    """The provider in the registry."""
    return {
        "base_url": f"http://127.0.0.1:{provider.port}/v1",
        "allow_private": True,
        "retries": 0,
        **fields,
    }


def request(**fields: Any) -> bytes:
    """A whole request that ends its connection."""
    body = json.dumps(body_of(V1, **fields)).encode()
    length = f"Content-Length: {len(body)}"
    return raw_request(f"POST {V1} HTTP/1.1", length, "Connection: close", body=body)


async def ask_to_the_end(gateway: GatewayProcess, **fields: Any) -> int:
    """Read an answer and throw it away; how many bytes it had."""
    read_bytes = 0
    async with Caller(gateway.port) as caller:
        await caller.send(request(**fields))
        while await caller.read_some():
            read_bytes += len(caller.raw)
            caller.raw.clear()
    return read_bytes


async def test_callers_who_do_not_read_cost_a_bounded_amount_of_memory(tmp_path: Path) -> None:
    """A04: sixty-four megabytes come as fast as they are taken; they must not be."""
    stream = provider_of(HEAD, EVENT, times=STREAM_BYTES // len(EVENT))
    timeouts = {"timeouts": {"write_stall_s": 0.5}}
    async with (
        stream,
        gateway_process(tmp_path, {"sim": entry(stream, **timeouts)}, {"auth": AUTH}) as gateway,
        AsyncExitStack() as callers,
    ):
        before = gateway.forget_peak()
        for _ in range(8):
            caller = await callers.enter_async_context(Caller(gateway.port, small_buffer=True))
            await caller.send(request())
        lines = await gateway.wait_for_settled(8)
        grown = gateway.peak_bytes - before

    assert {line["error_code"] for line in lines} == {"client_stalled"}
    assert grown < 8 * PER_CALLER_BYTES
    assert max(line["bytes_out"] for line in lines) < PER_CALLER_BYTES


async def test_a_caller_on_a_thin_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    """A14: the provider is read as slowly as its answer is; others are not."""
    stream, other = (
        provider_of(HEAD, EVENT, times=STREAM_BYTES // len(EVENT)),
        provider_of(HEAD, EVENT, end=FINISH),
    )
    async with (
        stream,
        other,
        gateway_process(
            tmp_path, {"sim": entry(stream), "other": entry(other)}, {"auth": AUTH}
        ) as gateway,
        Caller(gateway.port, small_buffer=True) as caller,
    ):
        await ask_to_the_end(gateway, model="other/m")
        before = gateway.forget_peak()
        await caller.send(request())
        for turn in range(200):
            assert await caller.read_some(4096)
            if turn % 20 == 0:
                assert await ask_to_the_end(gateway, model="other/m") > len(EVENT)
        grown = gateway.peak_bytes - before

    assert grown < 2 * PER_CALLER_BYTES  # with what the first slow caller costs once


async def test_a_line_without_an_end_is_relayed_in_pieces(tmp_path: Path) -> None:
    """G06: twenty megabytes of one event; only its beginning was ever held."""
    giant = provider_of(HEAD, b"x" * 64_000, times=320, end=b"\n\n" + FINISH)
    async with (
        giant,
        gateway_process(tmp_path, {"sim": entry(giant)}, {"auth": AUTH}) as gateway,
    ):
        before = gateway.forget_peak()
        read_bytes = await ask_to_the_end(gateway)
        grown = gateway.peak_bytes - before

    assert read_bytes > 320 * 64_000
    assert grown < 8 * MEBIBYTE


async def test_a_reply_without_an_end_is_held_up_to_the_limit(tmp_path: Path) -> None:
    """F18: what is held whole is bounded; the rest is not even read."""
    endless = provider_of(JSON_HEAD, b"[" * 64_000, times=16_000)
    limit = {"server": {"max_reply_bytes": 4 * MEBIBYTE}}
    async with (
        endless,
        gateway_process(tmp_path, {"sim": entry(endless)}, {"auth": AUTH, **limit}) as gateway,
    ):
        before = gateway.forget_peak()
        await ask_to_the_end(gateway, stream=False)
        (line,) = await gateway.wait_for_settled(1)
        grown = gateway.peak_bytes - before

    assert (line["status"], line["error_code"]) == (502, "upstream_reply_too_large")
    assert grown < 16 * MEBIBYTE


async def test_chunk_extensions_are_not_kept(tmp_path: Path) -> None:
    """B12: ten megabytes around a body of five hundred bytes."""
    stream = provider_of(HEAD, EVENT, end=FINISH + DONE + b"\n\n")
    async with (
        stream,
        gateway_process(tmp_path, {"sim": entry(stream)}, {"auth": AUTH}) as gateway,
        Caller(gateway.port) as caller,
    ):
        before = gateway.forget_peak()
        body = json.dumps(body_of(V1)).encode()
        chunked = ("Transfer-Encoding: chunked", "Connection: close")
        await caller.send(raw_request(f"POST {V1} HTTP/1.1", *chunked))
        await caller.send(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        for _ in range(500):
            await caller.send(b"1;x=" + b"y" * 20_000 + b"\r\n \r\n")
        await caller.send(b"0\r\n\r\n")
        heard = await caller.read_to_end()
        grown = gateway.peak_bytes - before

    assert heard.status in {200, 400}
    assert grown < 8 * MEBIBYTE


async def test_when_files_run_out_what_has_begun_goes_on(tmp_path: Path) -> None:
    """A09: of 256 files 112 are for callers; five thousand more are turned away, all streams end.

    Every place is taken by somebody who can be served, so that a file taken by one of the five
    thousand is missed.
    """
    need_files(1000)
    go_on = asyncio.Event()
    two = event_of("two") + FINISH + DONE + b"\n\n"
    patient = {"server": {"head_timeout_s": 60}}
    async with (
        RawProvider(stream_around(go_on, event_of("one"), two)) as provider,
        gateway_process(tmp_path, {"sim": entry(provider)}, {"auth": AUTH, **patient}) as gateway,
        AsyncExitStack() as callers,
    ):
        gateway.limit_files(FEW_FILES)
        places = count_places(FEW_FILES)
        served = [await callers.enter_async_context(Caller(gateway.port)) for _ in range(places)]
        streaming, waiting = served[: places // 2], served[places // 2 :]
        await begin_streams(streaming)
        began_at = time.monotonic()
        for _ in range(100):
            await asyncio.gather(*(assert_turned_away(gateway.port) for _ in range(50)))
        await begin_streams(waiting)  # each needs a file upstream
        go_on.set()
        streams = [await caller.read_to_end() for caller in served]
        lines = await gateway.wait_for_turned_away(5000)
        seconds = time.monotonic() - began_at
        numbers = (await gateway.fetch("/metrics")).raw
        assert await ask_until_served(gateway)

    assert all(DONE in stream.raw for stream in streams)
    assert sum(line["count"] for line in lines) == 5000
    assert len(lines) <= seconds + 1
    assert b"\ngateway_connections_turned_away_total 5000.0\n" in numbers


async def begin_streams(callers: list[Caller]) -> None:
    """Ask, and read to where the provider waits."""
    for caller in callers:
        await caller.send(request())
    for caller in callers:
        await caller.read_until(b"one")


async def assert_turned_away(port: int) -> None:
    """Connect, and be left without a word."""
    async with Caller(port) as caller:
        assert (await caller.read_to_end()).raw == b""


async def ask_until_served(gateway: GatewayProcess) -> bool:
    """Ask again until there is an answer; a gateway that does not come back never gives one."""
    async with asyncio.timeout(10):
        while True:
            async with Caller(gateway.port) as caller:
                try:
                    await caller.send(raw_request("GET /api/keys HTTP/1.1", "Connection: close"))
                    if (await caller.read_to_end()).status == 200:
                        return True
                except ConnectionError:
                    continue
