"""Answers that never come to their end, or whose body cannot be had though their status is known.

The rule here: no provider takes more of the gateway than an answer may, and what its status line
has said is not lost with its body.
"""

import asyncio
import json

import pytest

from tests.faults.conftest import OpenScene
from tests.faults.test_g_odd_streams import HEAD, chunk
from tests.plugins.raw_caller import Caller
from tests.plugins.raw_provider import RawProvider, answer_with, read_request
from tests.plugins.scene import (
    CHAT,
    MESSAGES,
    PATHS,
    V1,
    at,
    error_of,
    header_of,
    raw_request,
)

SSE_HEAD = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
JSON_HEAD = SSE_HEAD.replace(b"text/event-stream", b"application/json")


def chunked(body: bytes) -> bytes:
    """A body as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(body), body)


TRAILERS = {"one": (b"X: ", b"a" * 65536), "many": (b"", b"X-Trailer: a\r\n" * 5000)}


@pytest.mark.parametrize(("first", "again"), TRAILERS.values(), ids=TRAILERS.keys())
@pytest.mark.parametrize("path", [*PATHS, "reply"])
async def test_trailers_without_an_end_end_the_answer(
    open_scene: OpenScene, path: str, first: bytes, again: bytes
) -> None:
    """F08: they are kept while they come, and nobody's deadline is short enough for a flood."""
    is_cut = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        body = b"{" if path == "reply" else chunk()
        writer.write((JSON_HEAD if path == "reply" else SSE_HEAD) + chunked(body) + b"0\r\n")
        writer.write(first)
        try:
            while True:
                writer.write(again)
                await writer.drain()
        except ConnectionError:
            is_cut.set()

    async with RawProvider(flood) as provider:
        scene = await open_scene(**at(provider.port))
        heard = await scene.ask(path=V1 if path == "reply" else path, stream=path != "reply")
        async with asyncio.timeout(10):
            await is_cut.wait()

    line = await scene.settled()
    assert (line["outcome"], line["error_code"]) == ("upstream_failed", "upstream_protocol_error")
    assert not (heard.status == 200 and heard.is_whole)


# What follows the status and its headers, and how the connection ends.
UNHAD_BODIES = {
    "cut": (b"Content-Length: 100\r\n\r\n{", "fin"),
    "cut before a byte": (b"Transfer-Encoding: chunked\r\n\r\n", "fin"),
    "reset": (b"Content-Length: 100\r\n\r\n{", "rst"),
    "brotli": (b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\n\x0b\x02\x80", "wait"),
    "gzip of nothing": (b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", "wait"),
    "gzip that is none": (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno", "wait"),
    "too large": (b"Content-Length: 9000\r\n\r\n" + b"x" * 9000, "wait"),
}


@pytest.mark.parametrize(("rest", "then"), UNHAD_BODIES.values(), ids=UNHAD_BODIES.keys())
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [(V1, 429, "upstream_rate_limited"), (CHAT, 401, "upstream_credential_rejected")],
)
async def test_a_status_is_not_lost_with_its_body(
    open_scene: OpenScene, path: str, status: int, code: str, rest: bytes, then: str
) -> None:
    """F11: a credential that was refused is no broken line, and a limit has a time to come back."""
    head = b"HTTP/1.1 %d No\r\nRetry-After: 7\r\n" % status
    async with RawProvider(answer_with(head + rest, then=then)) as provider:
        scene = await open_scene(
            **at(provider.port), settings={"server": {"max_reply_bytes": 5000}}
        )

        heard = await scene.ask(path=path)

    assert error_of(heard) == (status, code)
    assert header_of(heard, "retry-after") == "7"
    assert (await scene.settled())["error_code"] == code


async def test_who_sends_a_request_slowly_hears_a_status_all_the_same(
    open_scene: OpenScene,
) -> None:
    """F11: the wait with the head is for an answer; it begins when all of the question is there."""
    scene = await open_scene(settings={"commit": {"v1_max_wait_s": 0.2}}, retries=1)
    refusal = {"error": {"status": 503, "retry_after": "0"}, "head_delay_s": 0.05, "times": 1}
    scene.simulator.script({**refusal, "then": [{"preset": "plain"}]})
    body = json.dumps({"model": "sim/m", "messages": MESSAGES, "stream": True}).encode()
    head = raw_request(f"POST {V1} HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close")

    async with Caller(scene.gateway.port) as caller:
        await caller.send(head + body[:-1])
        await scene.ask({"count": 5, "gap_s": 0.05}, model="other/m")
        await caller.send(body[-1:])
        heard = scene.note(await caller.read_to_end())

    assert (heard.status, heard.is_whole) == (200, True)
    assert scene.upstream_requests == 2
