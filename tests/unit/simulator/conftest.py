"""A simulator on a real socket, and a peer that reads its raw bytes.

The rule here: the peer repairs nothing; what came, and how it ended, is all it knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gateway.simulator import Simulator
from tests.plugins.raw_caller import dechunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.simulator import Served

TIMEOUT_S = 10
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Tell me about the sea."}]


@dataclass
class Heard:
    """All bytes of one connection, and whether it was reset."""

    raw: bytes
    was_reset: bool = False

    @property
    def head(self) -> str:
        """The head of the answer."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        """The status."""
        return int(self.head.split(" ")[1])

    @property
    def framed(self) -> bytes:
        """The body as it was framed."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def body(self) -> bytes:
        """The body without its framing."""
        if "transfer-encoding: chunked" not in self.head.lower():
            return self.framed
        return b"".join(dechunk(self.framed))

    @property
    def events(self) -> list[Any]:
        """The data of each event, decoded unless it is [DONE]."""
        lines = [line for line in self.body.split(b"\n") if line.startswith(b"data:")]
        texts = [line.removeprefix(b"data:").strip().decode() for line in lines]
        return [text if text == "[DONE]" else json.loads(text) for text in texts]

    @property
    def text(self) -> str:
        """The text of choice 0."""
        chunks = [event for event in self.events if isinstance(event, dict)]
        choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
        return "".join(c["delta"].get("content") or "" for c in choices if c["index"] == 0)

    @property
    def json(self) -> Any:
        """The body as one document."""
        return json.loads(self.body)


class Peer:
    """A client that sends one request per connection and reads to the end."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def ask(self, directive: object = None, *, stream: bool = True, **body: object) -> Heard:
        """Ask for a chat completion with a directive in the body."""
        fields = {"model": "m", "stream": stream, "messages": MESSAGES, **body}
        if directive is not None:
            fields["simulate"] = directive
        return await self.send(request_bytes(json.dumps(fields).encode()))

    async def send(self, request: bytes) -> Heard:
        """Send raw bytes, then read until the connection ends."""
        reader, writer = await self.connect(request)
        raw = bytearray()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while piece := await reader.read(65_536):
                    raw += piece
        except ConnectionResetError:
            return Heard(bytes(raw), was_reset=True)
        finally:
            await hang_up(writer)
        return Heard(bytes(raw))

    async def connect(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send raw bytes and leave the connection open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.simulator.port)
        writer.write(request)
        return reader, writer

    async def ask_and_leave(self, directive: object, *, after: bytes) -> Served:
        """Ask, read until these bytes have come, and hang up; the simulator's record of it."""
        fields = {"model": "m", "stream": True, "messages": MESSAGES, "simulate": directive}
        reader, writer = await self.connect(request_bytes(json.dumps(fields).encode()))
        async with asyncio.timeout(TIMEOUT_S):
            try:
                if after:
                    await reader.readuntil(after)
                await self.simulator.journal.wait_for_count(1)
            finally:
                await hang_up(writer)
            served = self.simulator.journal.last
            await served.peer_left.wait()
        return served


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close, whatever the other side has done."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def request_bytes(
    body: bytes = b"",
    *,
    path: str = CHAT,
    method: str = "POST",
    headers: tuple[str, ...] = ("Connection: close",),
    version: str = "1.1",
) -> bytes:
    """One request as raw bytes."""
    lines = [f"{method} {path} HTTP/{version}", "Host: simulator", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A started simulator."""
    async with Simulator() as started:
        yield started


@pytest.fixture
def peer(simulator: Simulator) -> Peer:
    """A client of the simulator."""
    return Peer(simulator)


@pytest.fixture
def make_request() -> Callable[..., bytes]:
    """Write raw requests."""
    return request_bytes


@pytest.fixture
def ask(peer: Peer) -> Callable[..., Awaitable[Heard]]:
    """Ask for a chat completion with a directive, and hear all of the answer."""
    return peer.ask
