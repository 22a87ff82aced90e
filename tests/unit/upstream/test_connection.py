"""One connection: what it tells its receiver, and when it may be used again."""

import asyncio
import gzip
import zlib

import pytest

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamBadResponseError,
    UpstreamCutError,
    UpstreamHungUpError,
    UpstreamProtocolError,
    UpstreamReplyTooLargeError,
)
from tests.plugins.raw_provider import (
    OK,
    REQUEST,
    RawProvider,
    Recorder,
    answer_with,
    read_request,
    reset,
)
from tests.unit.upstream.connections import CHUNKED, START, ask, open_line

UNTIL_EOF = START + b"Content-Type: text/event-stream\r\n\r\n"


async def test_a_whole_answer_leaves_the_connection_idle() -> None:
    """A handshake with a provider costs more than many requests."""
    recorder, line, connection = await ask(answer_with(OK), until_gone=False)

    assert (recorder.calls, recorder.status, recorder.body) == (["head", "body", "end"], 200, b"ok")
    assert (line.said[0], connection.served) == ("idle", 1)


async def test_header_names_come_in_lower_case_values_as_sent() -> None:
    """Everybody after this compares names with constants."""
    answer = OK.replace(b"Content-Length", b"X-Request-ID: Ab C\r\nx-two: 2\r\nCONTENT-length")

    recorder, _, _ = await ask(answer_with(answer), until_gone=False)

    assert recorder.headers == [
        (b"x-request-id", b"Ab C"),
        (b"x-two", b"2"),
        (b"content-length", b"2"),
    ]


@pytest.mark.parametrize(
    ("answer", "then", "body"),
    [
        (OK.replace(b"OK", b"OK\r\nConnection: close"), "wait", b"ok"),
        (OK.replace(b"1.1", b"1.0"), "wait", b"ok"),
        (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "wait", b"ok"),
        (OK + b"x", "wait", b"ok"),
        (UNTIL_EOF + b"data: a\n\n", "fin", b"data: a\n\n"),
        (UNTIL_EOF.replace(b"1.1", b"1.0") + b"data: a\n\n", "fin", b"data: a\n\n"),
    ],
)
async def test_a_whole_answer_may_still_cost_the_connection(
    answer: bytes, then: str, body: bytes
) -> None:
    """What follows the end, or an end that only a close tells, is not worth the risk."""
    recorder, line, _ = await ask(answer_with(answer, then=then))

    assert (recorder.calls[-1], recorder.body) == ("end", body)
    assert line.said == ["gone"]


@pytest.mark.parametrize("then", ["fin", "rst"])
@pytest.mark.parametrize(
    ("sent", "error", "calls"),
    [
        (b"", UpstreamHungUpError, ["failed"]),
        (START[:10], UpstreamCutError, ["failed"]),
        (b"HTTP/1.1 103 Early\r\n\r\n", UpstreamCutError, ["failed"]),
        (OK[:-1], UpstreamCutError, ["head", "body", "failed"]),
        (CHUNKED, UpstreamCutError, ["head", "failed"]),
        (CHUNKED + b"1\r\na\r\n", UpstreamCutError, ["head", "body", "failed"]),
        (CHUNKED + b"1\r\na\r\n0\r\n", UpstreamCutError, ["head", "body", "failed"]),
    ],
)
async def test_an_end_that_the_framing_does_not_know_is_a_failure(
    sent: bytes, error: type[UpstreamError], calls: list[str], then: str
) -> None:
    """Without a byte of an answer it may be tried again, with one it was begun (F09, G01)."""
    pieces = [sent] if sent else []

    recorder, line, _ = await ask(answer_with(*pieces, then=then))

    # A reset may overtake the bytes before it.
    assert type(recorder.error) is error or then == "rst"
    assert recorder.calls == calls or (then == "rst" and recorder.calls[-1] == "failed")
    assert line.said == ["gone"]


async def test_a_reset_is_no_end_even_where_only_the_connection_ends_the_body() -> None:
    """A FIN is the only clean end there is without framing."""
    recorder = Recorder()

    async def serve(reader, writer) -> None:
        await read_request(reader)
        writer.write(UNTIL_EOF + b"data: a\n\n")
        await recorder.has_body.wait()
        reset(writer)

    async with RawProvider(serve) as provider:
        connection, line = await open_line(provider)
        connection.send(REQUEST, recorder)
        await line.wait_until_gone()

    assert recorder.calls == ["head", "body", "failed"]
    assert type(recorder.error) is UpstreamCutError


@pytest.mark.parametrize(
    "answer",
    [
        b"\x16\x03 no HTTP\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 300,
        START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        START + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"1\r\na\r\nzz\r\n",
    ],
)
async def test_bytes_that_are_not_http_end_the_connection(answer: bytes) -> None:
    """Whatever comes next on it could be anything."""
    recorder, line, _ = await ask(answer_with(answer))

    assert isinstance(recorder.error, UpstreamProtocolError)
    assert recorder.error.status == 502
    assert line.said == ["gone"]


def packed_answer(body: bytes, encoding: bytes) -> bytes:
    """A whole answer with a compressed body."""
    head = b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
    return START + head + body


@pytest.mark.parametrize(
    ("body", "encoding", "plain"),
    [
        (gzip.compress(b"hello", mtime=0), b"gzip", b"hello"),
        (gzip.compress(b"hello", mtime=0), b"X-Gzip", b"hello"),
        (zlib.compress(b"hello"), b"deflate", b"hello"),
        (b"hello", b"identity", b"hello"),
    ],
)
async def test_an_answer_that_was_compressed_all_the_same_is_read(
    body: bytes, encoding: bytes, plain: bytes
) -> None:
    """Some hosts compress whatever was accepted (fault F17)."""
    recorder, line, _ = await ask(answer_with(packed_answer(body, encoding)), until_gone=False)

    assert (recorder.calls, recorder.body) == (["head", "body", "end"], plain)
    assert line.said[0] == "idle"


@pytest.mark.parametrize(
    ("body", "encoding", "error"),
    [
        (gzip.compress(bytes(16 * 1024 * 1024), mtime=0), b"gzip", UpstreamReplyTooLargeError),
        (b"not compressed", b"gzip", UpstreamBadResponseError),
        (gzip.compress(b"hello", mtime=0) + b"more", b"gzip", UpstreamBadResponseError),
        (b"whatever", b"br", UpstreamBadResponseError),
        (gzip.compress(b"hello", mtime=0)[:-4], b"gzip", UpstreamCutError),
    ],
)
async def test_a_compressed_answer_that_cannot_be_read_is_a_failure(
    body: bytes, encoding: bytes, error: type[UpstreamError]
) -> None:
    """Never half an answer that looks whole, never a bomb."""
    async with RawProvider(answer_with(packed_answer(body, encoding))) as provider:
        connection, _ = await open_line(provider)
        recorder = Recorder()
        connection.send(REQUEST, recorder)
        await recorder.wait()
        connection.abort()

    assert type(recorder.error) is error


async def test_it_counts_what_was_not_sent_yet() -> None:
    """The deadline for a request's body needs to know."""
    read_on = asyncio.Event()

    async def serve(reader, _) -> None:
        await read_on.wait()
        while await reader.read(1 << 20):
            pass

    async with RawProvider(serve) as provider:
        connection, line = await open_line(provider)
        assert connection.unsent_bytes == 0
        connection.send(bytes(32 * 1024 * 1024), Recorder())
        assert connection.unsent_bytes > 0
        assert not connection.has_answered
        connection.abort()
        await line.wait_until_gone()
        read_on.set()

    assert connection.unsent_bytes == 0
