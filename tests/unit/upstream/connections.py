"""A connection to a raw provider, and what it says about itself."""

import asyncio
from dataclasses import dataclass, field

from gateway.upstream.connection import Connection
from tests.plugins.raw_provider import REQUEST, TIMEOUT_S, RawProvider, Recorder, Serve

START = b"HTTP/1.1 200 OK\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Line:
    """A connection, and what it says about itself."""

    said: list[str] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def make(self) -> Connection:
        """The connection itself."""
        return Connection("Groq", on_idle=self.note_idle, on_gone=self.note_gone)

    def note_idle(self, _: Connection) -> None:
        """It may be used again."""
        self.said.append("idle")
        self.idle.set()

    def note_gone(self, _: Connection) -> None:
        """It is closed."""
        self.said.append("gone")
        self.gone.set()

    async def wait_until_gone(self) -> None:
        """Wait until it is closed."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.gone.wait()


async def open_line(provider: RawProvider) -> tuple[Connection, Line]:
    """A connection to a raw provider."""
    line = Line()
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(line.make, "127.0.0.1", provider.port)
    return connection, line


async def ask(serve: Serve, *, until_gone: bool = True) -> tuple[Recorder, Line, Connection]:
    """Send one request to a provider that answers so, and hear the answer out."""
    async with RawProvider(serve) as provider:
        connection, line = await open_line(provider)
        recorder = Recorder()
        connection.send(REQUEST, recorder)
        await recorder.wait()
        if until_gone:
            await line.wait_until_gone()
        connection.abort()
    return recorder, line, connection
