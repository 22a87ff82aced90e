"""A provider whose every write is a step of the test.

The rule here: it sends nothing by itself, so that what arrives between two steps was not held back.
"""

import asyncio
import json
import ssl
from typing import Self

from tests.plugins.raw_provider import RawProvider, hang_up, read_request, reset

TIMEOUT_S = 20  # ends a test that hangs
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk_of(payload: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def event_of(**delta: str) -> bytes:
    """One event, with what it adds to the answer."""
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


ROLE = event_of(role="assistant", content="")
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


class SteppedProvider:
    """Serves one request at a time."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = RawProvider(self._serve, tls)
        self._scheme = "https" if tls else "http"
        self._writer: asyncio.StreamWriter | None = None
        self._asked = asyncio.Event()
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__()

    @property
    def base_url(self) -> str:
        """What a registry says of it."""
        return f"{self._scheme}://127.0.0.1:{self._server.port}/v1"

    async def wait_until_asked(self) -> None:
        """Wait for the next request."""
        async with asyncio.timeout(TIMEOUT_S):
            await self._asked.wait()
        self._asked.clear()

    async def wait_until_left(self, timeout_s: float) -> None:
        """Wait until whoever asked has hung up."""
        async with asyncio.timeout(timeout_s):
            await self._left.wait()

    async def open_stream(self) -> None:
        """Once asked, send the head of a stream."""
        await self.wait_until_asked()
        await self.send_head()

    async def send_head(self) -> None:
        """Send the head of a stream."""
        await self.send_raw(HEAD)

    async def send(self, event: bytes) -> None:
        """Send one event as one chunk."""
        await self.send_raw(chunk_of(event))

    async def send_raw(self, message: bytes) -> None:
        """Send these bytes."""
        assert self._writer is not None
        self._writer.write(message)
        await self._writer.drain()

    async def cut(self) -> None:
        """Hang up in the middle."""
        assert self._writer is not None
        await hang_up(self._writer)

    def finish(self) -> None:
        """Close, and wait for nothing."""
        assert self._writer is not None
        self._writer.close()

    def reset(self) -> None:
        """End with a reset in the middle."""
        assert self._writer is not None
        reset(self._writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await read_request(reader)
                self._writer = writer
                self._left.clear()
                self._asked.set()
        finally:
            self._left.set()
