"""A connection that is made while callers are refused answers refusals, or becomes a real one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from gateway.server.connection_limit import ConnectionLimit
from gateway.server.doorkeeper import Doorkeeper


class Real(asyncio.Protocol):
    """An ordinary connection, which answers whatever it gets with what it got."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self.transport.write(b"served " + data)


def refuse(data: bytes) -> bytes | None:
    """Refuse what says so."""
    return b"refused" if data.startswith(b"no") else None


class Door:
    """A listener with doorkeepers."""

    def __init__(self, wait_s: float = 10) -> None:
        self.standing: set[Doorkeeper] = set()
        self.wait_s = wait_s
        self.keep_alive_s = 10.0
        self.connection_limit = ConnectionLimit()
        self.server: asyncio.Server | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to it, opened for real."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: Doorkeeper(
                refuse,
                Real,
                self.standing,
                self.connection_limit,
                wait_s=self.wait_s,
                keep_alive_s=self.keep_alive_s,
            ),
            "127.0.0.1",
            0,
        )
        return await asyncio.open_connection(*self.server.sockets[0].getsockname()[:2])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """One door, shut at the end."""
    one = Door()
    yield one
    assert one.server is not None
    one.server.close()


async def test_refusals_are_answered_one_after_the_other(door: Door) -> None:
    """A proxy in front keeps its connections, and opening one is most of the cost."""
    reader, writer = await door.open()
    for _ in range(3):
        writer.write(b"no")
        assert await reader.readexactly(7) == b"refused"

    assert len(door.standing) == 1
    writer.close()


async def test_what_is_to_be_served_is_served_whole(door: Door) -> None:
    """With the bytes that it began with; from there on it is as any other connection."""
    reader, writer = await door.open()
    writer.write(b"no")
    assert await reader.readexactly(7) == b"refused"

    writer.write(b"yes")
    assert await reader.readexactly(10) == b"served yes"

    assert not door.standing
    writer.write(b"no")
    assert await reader.readexactly(9) == b"served no"
    writer.close()


async def test_who_says_nothing_is_not_waited_for(door: Door) -> None:
    """As everywhere: a connection without a request has a time."""
    door.wait_s = 0.01
    reader, writer = await door.open()

    assert await reader.read() == b""
    assert not door.standing
    writer.close()


async def test_who_was_refused_may_ask_again_for_as_long_as_anybody(door: Door) -> None:
    """A proxy that uses its connection must not lose a request on one that we close under it."""
    door.wait_s = 0.01
    reader, writer = await door.open()
    writer.write(b"no")
    assert await reader.readexactly(7) == b"refused"
    await asyncio.sleep(3 * door.wait_s)  # the time for a first request passes

    writer.write(b"no")
    assert await reader.readexactly(7) == b"refused"
    writer.close()


async def test_who_was_refused_and_does_not_come_back_is_not_waited_for(door: Door) -> None:
    """Nor kept when files are short."""
    door.wait_s = door.keep_alive_s = 0.01
    reader, writer = await door.open()
    writer.write(b"no")

    assert await reader.read() == b"refused"
    assert not door.standing
    writer.close()


async def test_who_was_refused_can_be_sent_away_and_who_has_not_asked_yet_cannot(
    door: Door,
) -> None:
    """M02: when files are short."""
    reader, writer = await door.open()
    async with asyncio.timeout(10):
        while not door.standing:  # noqa: ASYNC110 - what is awaited tells nobody
            await asyncio.sleep(0)
    [doorkeeper] = door.standing
    doorkeeper.leave_if_idle()
    writer.write(b"no")
    assert await reader.readexactly(7) == b"refused"

    doorkeeper.leave_if_idle()

    assert await reader.read() == b""
    writer.close()


async def test_nobody_is_left_standing_when_the_gateway_stops(door: Door) -> None:
    """They are no connections of aiohttp's, which would close them."""
    reader, writer = await door.open()
    writer.write(b"no")
    await reader.readexactly(7)

    for doorkeeper in tuple(door.standing):
        doorkeeper.leave()

    assert await reader.read() == b""
    writer.close()


async def test_it_has_a_place_like_any_other_connection(door: Door) -> None:
    """Half of the files are for callers, however little is done for them."""
    reader, writer = await door.open()
    writer.write(b"no")
    await reader.readexactly(7)
    assert door.connection_limit._taken == 1  # noqa: SLF001 - what must not leak

    writer.write(b"yes")  # handed over: the real connection takes its own
    await reader.readexactly(10)

    assert door.connection_limit._taken == 0  # noqa: SLF001 - what must not leak
    writer.close()


async def test_who_leaves_is_forgotten(door: Door) -> None:
    """A flood of callers who hang up leaves nothing behind."""
    reader, writer = await door.open()
    writer.write(b"no")
    await reader.readexactly(7)
    writer.transport.abort()

    async with asyncio.timeout(10):
        while door.standing:  # noqa: ASYNC110 - what is awaited tells nobody
            await asyncio.sleep(0)
