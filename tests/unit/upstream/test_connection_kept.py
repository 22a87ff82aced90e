"""One connection after another request: when it may be used again, and who may hold it back."""

import asyncio
import gzip

import pytest

from gateway.core.upstream_errors import UpstreamConnectError
from tests.plugins.raw_provider import (
    OK,
    REQUEST,
    RawProvider,
    Recorder,
    answer_with,
    hang_up,
    read_request,
)
from tests.unit.upstream.connections import CHUNKED, START, ask, open_line


async def test_a_byte_on_an_idle_connection_ends_it() -> None:
    """It would be taken for the beginning of the next answer."""
    async with RawProvider(answer_with(OK, then="wait")) as provider:
        connection, line = await open_line(provider)
        recorder = Recorder()
        connection.send(REQUEST, recorder)
        await recorder.wait()
        connection.data_received(b"x")
        await line.wait_until_gone()

    assert line.said == ["idle", "gone"]
    assert recorder.calls == ["head", "body", "end"]
    assert not connection.is_open


async def test_a_connection_that_the_provider_closed_cannot_be_used() -> None:
    """The caller of `send` takes another one."""

    async def serve(_, writer) -> None:
        await hang_up(writer)

    async with RawProvider(serve) as provider:
        connection, line = await open_line(provider)
        await line.wait_until_gone()

        with pytest.raises(UpstreamConnectError):
            connection.send(REQUEST, Recorder())


async def test_aborting_tells_the_receiver_nothing() -> None:
    """Whoever aborts knows; a late call would end the next exchange."""
    async with RawProvider(answer_with(CHUNKED + b"1\r\na\r\n")) as provider:
        connection, line = await open_line(provider)
        recorder = Recorder()
        connection.send(REQUEST, recorder)
        connection.abort()
        connection.data_received(OK)
        await line.wait_until_gone()

    assert recorder.calls == []
    assert line.said == ["gone"]


async def test_an_answer_to_half_a_request_ends_the_connection() -> None:
    """A 413 comes before the body is read, and the next request would wait behind the rest."""

    async def refuse(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await asyncio.Event().wait()

    async with RawProvider(refuse) as provider:
        connection, line = await open_line(provider)
        recorder = Recorder()
        connection.send(REQUEST + bytes(32 * 1024 * 1024), recorder)
        await recorder.wait()
        await line.wait_until_gone()

    assert recorder.calls == ["head", "body", "end"]
    assert line.said == ["gone"]


async def test_only_its_own_receiver_may_end_an_answer() -> None:
    """An attempt that ended long ago must not cut off the one after it."""
    async with RawProvider(answer_with(OK)) as provider:
        connection, line = await open_line(provider)
        first, second = Recorder(), Recorder()
        connection.send(REQUEST, first)
        await first.wait()
        connection.send(REQUEST, second)
        connection.release(first)
        await second.wait()
        connection.send(REQUEST, first)
        connection.release(first)
        await line.wait_until_gone()

    assert second.calls == ["head", "body", "end"]
    assert connection.served == 2


async def test_a_connection_serves_one_request_after_another() -> None:
    """Nothing of an answer may be left when the next one begins."""
    async with RawProvider(answer_with(OK)) as provider:
        connection, _ = await open_line(provider)
        heard: list[tuple[list[str], bytes]] = []
        for _ in range(3):
            recorder = Recorder()
            connection.send(REQUEST, recorder)
            await recorder.wait()
            heard.append((recorder.calls, recorder.body))
        connection.abort()

    assert heard == [(["head", "body", "end"], b"ok")] * 3


async def test_each_answer_is_decoded_as_its_own_head_says() -> None:
    """One head for each, wherever its reads end, and nothing left of the one before."""
    packed = gzip.compress(b"packed", mtime=0)
    length = b"Content-Length: %d\r\n" % len(packed)
    answers = {
        "packed": START + length + b"Content-Encoding: gzip\r\n\r\n" + packed,
        "ok": OK,
        "a": CHUNKED + b"1\r\na\r\n0\r\n\r\n",
    }
    async with RawProvider(answer_with(b"", then="wait")) as provider:
        connection, _ = await open_line(provider)
        for text in ("packed", "ok", "packed", "a", "ok"):
            recorder = Recorder()
            connection.send(REQUEST, recorder)
            answer = answers[text]
            for at in range(len(answer)):
                connection.data_received(answer[at : at + 1])

            assert recorder.body == text.encode(), text
            assert (recorder.calls[0], recorder.calls.count("head")) == ("head", 1), text
            assert recorder.calls[-1] == "end", text
        connection.abort()


async def test_a_connection_held_back_by_the_last_bytes_serves_again() -> None:
    """The caller may be slow in the very read that ends the answer."""
    async with RawProvider(answer_with(OK)) as provider:
        connection, _ = await open_line(provider)

        class Slow(Recorder):
            def on_body(self, body: bytes) -> None:
                super().on_body(body)
                connection.pause()

        first, second = Slow(), Recorder()
        connection.send(REQUEST, first)
        await first.wait()
        connection.send(REQUEST, second)
        await second.wait()
        connection.abort()

    assert second.body == b"ok"


async def test_an_idle_connection_cannot_be_held_back() -> None:
    """A caller may turn out to be slow when their answer is over: it is the next one's by then."""
    async with RawProvider(answer_with(OK)) as provider:
        connection, _ = await open_line(provider)
        first, second = Recorder(), Recorder()
        connection.send(REQUEST, first)
        await first.wait()
        connection.pause()
        connection.send(REQUEST, second)
        await second.wait()
        connection.abort()

    assert second.body == b"ok"


async def test_after_a_slow_caller_an_idle_connection_hears_the_provider_hang_up() -> None:
    """Otherwise it would wait in the pool, closed, for somebody's request."""
    go_on = asyncio.Event()

    async def serve(reader, writer) -> None:
        await read_request(reader)
        writer.write(OK)
        await go_on.wait()
        await hang_up(writer)

    async with RawProvider(serve) as provider:
        connection, line = await open_line(provider)

        class Slow(Recorder):
            def on_body(self, body: bytes) -> None:
                super().on_body(body)
                connection.pause()

        recorder = Slow()
        connection.send(REQUEST, recorder)
        await recorder.wait()
        go_on.set()
        await line.wait_until_gone()

    assert line.said == ["idle", "gone"]


async def test_a_paused_connection_reads_no_further_than_one_buffer() -> None:
    """Back-pressure: the provider must feel that the caller does not read."""
    body = bytes(4 * 1024 * 1024)
    answer = START + b"Content-Length: %d\r\n\r\n" % len(body)
    async with RawProvider(answer_with(answer, body)) as provider:
        connection, _ = await open_line(provider)

        class Full(Recorder):
            def on_body(self, body: bytes) -> None:
                super().on_body(body)
                if self.calls.count("body") == 1:
                    connection.pause()

        recorder = Full()
        connection.send(REQUEST, recorder)
        await recorder.has_body.wait()
        # The loop turns many times; nothing more may come.
        for _ in range(200):
            await asyncio.sleep(0)
        heard_bytes = len(recorder.body)
        connection.resume()
        await recorder.wait()
        connection.abort()

    assert heard_bytes <= 256 * 1024
    assert recorder.body == body


@pytest.mark.parametrize("value", [b"timeout=7", b"max=3, timeout=7"])
async def test_it_remembers_how_long_the_provider_keeps_it(value: bytes) -> None:
    """The pool lets go of it before that."""
    answer = OK.replace(b"OK\r\n", b"OK\r\nKeep-Alive: " + value + b"\r\n")

    _, _, connection = await ask(answer_with(answer), until_gone=False)

    assert connection.keep_alive_s == 7.0
