"""A provider that sends one piece when the test says so, and nothing before.

The rule here: what a test has read from the gateway before it lets the next piece go cannot have
waited for that piece. Order is proven by this alone, never by a clock.
"""

import asyncio
import json
from typing import Any

from tests.plugins.raw_provider import RawProvider, hang_up, read_request, reset

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def chunk_event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    """One event with one delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


def text_event(text: str) -> bytes:
    """One event with one piece of text."""
    return chunk_event({"content": text})


class StepwiseProvider(RawProvider):
    """Answers each request with what the test hands over, piece by piece."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ending = "last chunk"

    @property
    def base_url(self) -> str:
        """What a registry entry takes for its `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def send(self, *pieces: bytes) -> None:
        """Let pieces of the body go, each as an HTTP chunk; the first brings the head."""
        for piece in pieces:
            self._pieces.put_nowait(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end(self, ending: str = "last chunk") -> None:
        """End the answer: with its "last chunk", with a "fin" or with a "reset"."""
        self._ending = ending
        self._pieces.put_nowait(None)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            head = HEAD
            while (piece := await self._next_piece(reader)) is not None:
                writer.write(head + piece)
                head = b""
            if self._ending == "fin":
                return await hang_up(writer)
            if self._ending == "reset":
                return reset(writer)
            writer.write(b"0\r\n\r\n")

    async def _next_piece(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next piece, or a ConnectionError once the gateway has left."""
        taking = asyncio.ensure_future(self._pieces.get())
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({taking, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                raise ConnectionResetError("The gateway left.")
            return taking.result()
        finally:
            for task in (taking, leaving):
                task.cancel()
            await asyncio.gather(taking, leaving, return_exceptions=True)
