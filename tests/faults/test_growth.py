"""Great numbers of requests, names, chunks and bodies, with which the gateway does not grow.

The rule here: the gateway is a process of its own, measured by the kernel; each bound is far above
what was measured and far below what one small object for each would take.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.raw_caller import LAST_CHUNK, Caller, Heard
from tests.plugins.raw_provider import RawProvider, stream_around
from tests.plugins.scene import AUTH, DONE, V1, body_of, error_of, header_of, raw_request

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is read from /proc"
)

MEBIBYTE = 1024 * 1024
WINDOW = 100
REQUESTS = 30_000
PIPELINED = 10_000
CHUNKS = 100_000
SHORT = 1_000
BODIES = 50
BODY_BYTES = 30_000_000


QUIET = {"auth": AUTH, "logging": {"level": "warning"}}
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n' + DONE + b"\n\n"


def event_of(text: str) -> bytes:
    """One event with text."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def entry(base_url: str) -> dict[str, Any]:
    """A provider in the registry."""
    return {"base_url": base_url, "allow_private": True, "retries": 0}


def get(path: str, *headers: str) -> bytes:
    """A plain GET."""
    return raw_request(f"GET {path} HTTP/1.1", *headers)


def post(directive: object, *headers: str, **fields: Any) -> bytes:
    """A whole request for an answer."""
    body = json.dumps(body_of(V1, directive, **fields)).encode()
    length = f"Content-Length: {len(body)}"
    return raw_request(f"POST {V1} HTTP/1.1", length, *headers, body=body)


async def read_answers(caller: Caller, count: int, take: Callable[[bytes], list[bytes]]) -> list:
    """What is taken from each of so many answers, in their order."""
    found: list[bytes] = []
    while len(found) < count:
        assert await caller.read_some(), "the connection ended before all answers had come"
        whole, _, rest = bytes(caller.raw).rpartition(b"\r\n")  # no line is cut
        found += take(whole)
        caller.raw[:] = rest
    return found


async def test_a_connection_with_a_new_name_in_each_request_does_not_grow(tmp_path: Path) -> None:
    """A12, D04: one connection asks for 30,000 providers that there are not.

    The rows say 100,000 of each, which is half a minute; 30,000 take eight seconds. A name that is
    kept takes 100 bytes: 3 MB of these.
    """
    async with (
        gateway_process(tmp_path, {"sim": entry("http://127.0.0.1:9/v1")}, QUIET) as gateway,
        Caller(gateway.port) as caller,
    ):
        await ask_for_unknown(caller, 0, 2_000)  # what is cached by path is full after these
        files_before = gateway.open_files
        series = set(await read_metrics(gateway))
        before = gateway.forget_peak()
        await ask_for_unknown(caller, 2_000, 2_000 + REQUESTS)
        grown, files = gateway.peak_bytes - before, gateway.open_files
        metrics = await read_metrics(gateway)

    assert files == files_before
    assert grown < 2 * MEBIBYTE
    assert set(metrics) == series
    assert metrics[NOT_FOUND] == 2_000 + REQUESTS


NOT_FOUND = (
    "gateway_exchanges_total"
    '{provider="other",model="none",dialect="text",outcome="rejected",status="404"}'
)


async def ask_for_unknown(caller: Caller, first: int, last: int) -> None:
    """Ask for providers by these numbers, some ahead of the answers."""
    for begin in range(first, last, WINDOW):
        names = range(begin, begin + WINDOW)
        heads = (f"POST /api/chat/unknown{name} HTTP/1.1" for name in names)
        await caller.send(b"".join(raw_request(head, "Content-Length: 0") for head in heads))
        statuses = await read_answers(caller, WINDOW, re.compile(rb"HTTP/1.1 (\d+)").findall)
        assert statuses == [b"404"] * WINDOW


async def read_metrics(gateway: GatewayProcess) -> dict[str, float]:
    """Every series and its value."""
    lines = (await gateway.fetch("/metrics")).body.decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


async def test_ten_thousand_pipelined_requests_wait_outside(
    tmp_path: Path, bystander: Simulator
) -> None:
    """B14: in order, and while the first is answered few of the others are read.

    A request that has been read takes 1.3 KB: 13 MB of these, where 0.3 were measured.
    """
    gate = asyncio.Event()
    numbers = [b"number%d" % number for number in range(PIPELINED)]
    behind = b"".join(get("/nothing", f"X-Request-ID: {number.decode()}") for number in numbers)
    async with (
        RawProvider(stream_around(gate, event_of("one"), FINISH)) as provider,
        gateway_process(
            tmp_path,
            {
                "sim": entry(f"http://127.0.0.1:{provider.port}/v1"),
                "other": entry(bystander.base_url),
            },
            QUIET,
        ) as gateway,
        Caller(gateway.port) as caller,
    ):
        await ask_bystander(gateway)
        before = gateway.forget_peak()
        await caller.send(post(None))
        sending = asyncio.ensure_future(caller.send(behind))
        await caller.read_until(b"one")
        for _ in range(20):  # in each of these turns more could be read
            await ask_bystander(gateway)
        grown = gateway.peak_bytes - before
        gate.set()
        await caller.read_until(LAST_CHUNK)
        answered = await read_answers(caller, 2 * PIPELINED, find_numbers)
        await sending

    assert answered == [found for number in numbers for found in (b"404", number)]
    assert grown < 4 * MEBIBYTE


def find_numbers(lines: bytes) -> list[bytes]:
    """Status and id of each answer."""
    found = re.findall(rb"HTTP/1\.1 (\d+)|X-Request-ID: (\w+)", lines)
    return [status or number for status, number in found]


async def ask_bystander(gateway: GatewayProcess) -> None:
    """Somebody else is served meanwhile."""
    async with Caller(gateway.port) as caller:
        await caller.send(post("plain", "Connection: close", model="other/m"))
        assert DONE in (await caller.read_to_end()).body


async def test_a_hundred_thousand_chunks_take_no_more_memory_than_one(
    tmp_path: Path, simulator: Simulator
) -> None:
    """G13: every one is counted, one line is written, and nothing is kept of any.

    An object of 40 bytes for each would be 4 MB, the chunks themselves 25.
    """
    directive = {"count": CHUNKS, "writes": {"events_per_write": 100}}
    async with (
        gateway_process(tmp_path, {"sim": entry(simulator.base_url)}, {"auth": AUTH}) as gateway,
        Caller(gateway.port) as caller,
    ):
        await ask_short(gateway)
        before = gateway.forget_peak()
        await caller.send(post(directive, "Connection: close"))
        tail = b""
        while await caller.read_some():
            tail = (tail + caller.raw)[-200:]
            caller.raw.clear()
        lines = await gateway.wait_for_settled(2)
        grown = gateway.peak_bytes - before

    assert tail.endswith(DONE + b"\n\n\r\n" + LAST_CHUNK)
    assert [line["chunks"] for line in lines] == [SHORT, CHUNKS]
    assert (lines[1]["outcome"], lines[1]["tokens_out"]) == ("finished", CHUNKS)
    assert grown < 4 * MEBIBYTE


async def ask_short(gateway: GatewayProcess) -> None:
    """A stream like it, but short: what the first one costs once is not counted."""
    async with Caller(gateway.port) as caller:
        directive = {"count": SHORT, "writes": {"events_per_write": 100}}
        await caller.send(post(directive, "Connection: close"))
        assert DONE in (await caller.read_to_end()).body


async def test_fifty_bodies_of_thirty_megabytes_fit_into_512(
    tmp_path: Path, simulator: Simulator
) -> None:
    """C02: what does not fit is put off; without that they were 1.8 GB of images, 2.5 of mistakes.

    An image is one string, the body that is dearest to read.
    """
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    raw = post("plain", messages=[{"role": "user", "content": [image]}])
    head, _, body = raw.partition(b"\r\n\r\n")
    body = body.replace(b"base64,", b"base64," + b"A" * (BODY_BYTES - len(body)))
    head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
    async with gateway_process(
        tmp_path, {"sim": entry(simulator.base_url)}, {"auth": AUTH}
    ) as gateway:
        asking = (upload(gateway, head, body) for _ in range(BODIES))
        heard = await asyncio.gather(*asking)
        peak = gateway.peak_bytes
        lines = await gateway.wait_for_settled(BODIES)

    put_off = [one for one in heard if one.status == 503]
    assert Counter(one.status for one in heard).keys() == {200, 503}
    assert {error_of(one) for one in put_off} == {(503, "overloaded")}
    assert {header_of(one, "retry-after") for one in put_off} <= {"1", "2", "3", "4"}
    assert len({line["request_id"] for line in lines}) == BODIES
    assert peak < 512 * MEBIBYTE


async def upload(gateway: GatewayProcess, head: bytes, body: bytes) -> Heard:
    """Send a large body while listening, as an answer may come before all of it is sent."""
    async with Caller(gateway.port) as caller:
        await caller.send(head + b"\r\nConnection: close\r\n\r\n")
        sending = asyncio.ensure_future(caller.send(body))
        heard = await caller.read_to_end()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return heard
