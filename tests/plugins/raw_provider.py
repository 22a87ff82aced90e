"""A provider that sends exactly the bytes a test gives it, and a receiver that notes what it hears.

The rule here: nothing is repaired and nothing is guessed; the simulator is for all else.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Self

from gateway.core.errors import UpstreamError
from gateway.upstream.receiver import Headers

TIMEOUT_S = 20  # ends a test that hangs
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawProvider:
    """A listener that serves each connection with one coroutine of the test's own."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self.connections = 0
        self._changed = asyncio.Condition()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        async with self._changed:
            self._changed.notify_all()
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled by our own exit; asyncio would report that as an error of the task
        finally:
            self._running.discard(task)
            writer.transport.abort()
            async with self._changed:
                self._changed.notify_all()

    async def wait_until_connected(self) -> None:
        """Wait for the first connection."""
        await self._wait(lambda: self.connections > 0)

    async def wait_until_left(self) -> None:
        """Wait until every connection that was served is over."""
        await self._wait(lambda: self.connections > 0 and not self._running)

    async def _wait(self, predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(predicate)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request with a `Content-Length`."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
    return head + await reader.readexactly(int(fields[b"content-length"]))


def answer_with(*pieces: bytes, then: str = "wait") -> Serve:
    """Answer every request with these writes, then wait for more, close ("fin") or reset."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if then == "fin":
                return await hang_up(writer)
            if then == "rst":
                return reset(writer)

    return serve


def stream_around(gate: asyncio.Event, first: bytes, rest: bytes) -> Serve:
    """Answer with a head and the first part of a stream; the rest follows when the gate opens."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head + first)
        await gate.wait()
        writer.write(rest)
        await writer.drain()

    return serve


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close, whatever the peer has done."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """End with a reset in place of a FIN."""
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Recorder:
    """A receiver that notes every call, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.status = 0
        self.headers: Headers = ()
        self.body = b""
        self.error: UpstreamError | None = None
        self.has_body = asyncio.Event()
        self.over = asyncio.Event()

    def on_head(self, status: int, headers: Headers) -> None:
        """Note the head."""
        self.calls.append("head")
        self.status, self.headers = status, headers

    def on_body(self, body: bytes) -> None:
        """Note a piece of the body."""
        assert body
        self.calls.append("body")
        self.body += body
        self.has_body.set()

    def on_chunk(self, _: bytes) -> bool:
        """Take nothing unparsed."""
        return False

    def on_end(self) -> None:
        """Note a clean end."""
        self.calls.append("end")
        self.over.set()

    def on_failed(self, error: UpstreamError) -> None:
        """Note a failure."""
        self.calls.append("failed")
        self.error = error
        self.over.set()

    async def wait(self) -> None:
        """Wait for the end, good or bad."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.over.wait()
