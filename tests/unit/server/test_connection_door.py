"""Connections that are kept, at the door: who is refused there, and who never is."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.config.overload import OverloadSpec
from gateway.config.settings import ServerSpec
from gateway.core.exchange import Exchange, Outcome
from gateway.overload.machine import Machine
from gateway.overload.pressure import Pressure
from gateway.overload.seats import Seats
from gateway.server.site import (
    listen_on,
    make_runner,
)
from gateway.server.sockets import open_sockets

ALICE = b"Authorization: Bearer gw-alice\r\n"
BODY = b'{"model":"groq/m"}'
ASKED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (
    ALICE,
    len(BODY),
    BODY,
)


class House:
    """A listener whose only seat alice has, and a handler that says what it was sent."""

    def __init__(self, keep_alive_s: float = 75) -> None:
        self.seats = Seats(1)
        self.pressure = Pressure(OverloadSpec(), self.seats, Machine().read)
        self.hers = Exchange("a", 1.0, "POST", "/", "unix", (self.seats.settle,))
        self.seats.take(self.hers, "alice")
        self.keep_alive_s = keep_alive_s
        self.served: list[bytes] = []

    def be_full(self) -> None:
        """From here on alice is refused at the door."""
        self.pressure.door.note([(b"Authorization", b"Bearer gw-alice")], "alice")

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """One connection to it."""

        async def serve(request: web.Request) -> web.StreamResponse:
            self.served.append(await request.read())
            return web.Response(text="served")

        app = web.Application()
        app.router.add_route("*", "/{anything:.*}", serve)
        runner = make_runner(app, shutdown_s=0.1)
        await runner.setup()
        sockets = await open_sockets("127.0.0.1", 0)
        spec = ServerSpec(keep_alive_s=self.keep_alive_s)
        [site] = await listen_on(runner, sockets, spec, pressure=self.pressure)
        port = int(site.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            yield reader, writer
        writer.close()
        await runner.cleanup()

    async def ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *parts: bytes
    ) -> int:
        """The status of the answer to one request that is sent in parts."""
        for part in parts:
            writer.write(part)
            await writer.drain()
            for _ in range(5):  # turns of the loop: each part is read by itself
                await asyncio.sleep(0)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        await reader.readexactly(length)
        return int(head.split()[1])


async def test_a_connection_that_was_served_is_refused_at_the_door() -> None:
    """M01: a proxy keeps its connections, and there a refusal is the cheapest of all."""
    house = House()
    async with house.open() as connection:
        assert await house.ask(*connection, ASKED) == 200
        house.be_full()

        refused = [await house.ask(*connection, ASKED) for _ in range(3)]

        assert refused == [503] * 3
        assert len(house.served) == 1
        house.hers.settle(Outcome.FINISHED, at=2.0)
        assert await house.ask(*connection, ASKED) == 200
        assert house.pressure.refused == 3


async def test_whoever_sends_a_request_in_two_parts_is_known_the_next_time() -> None:
    """Most client libraries send a head and then a body."""
    house = House()
    async with house.open() as connection:
        assert await house.ask(*connection, ASKED[: -len(BODY)], BODY) == 200
        house.be_full()

        assert await house.ask(*connection, ASKED) == 503


@pytest.mark.parametrize(
    "parts",
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ASKED), ASKED),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(ASKED), b"\r\n", ASKED),
        (
            b"\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (len(ASKED) + 1),
            b"x" + ASKED,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ASKED),
            ASKED,
            b"\r\n0\r\n\r\n",
        ),
    ],
    ids=["body", "head in two parts", "empty lines", "chunked"],
)
async def test_a_body_that_looks_like_a_request_is_none(parts: tuple[bytes, ...]) -> None:
    """Group B: a refusal in the middle of a request would be somebody else's answer."""
    house = House()
    async with house.open() as connection:
        assert await house.ask(*connection, ASKED) == 200
        house.be_full()

        assert await house.ask(*connection, *parts) == 200

    assert ASKED in house.served[1]


async def test_after_what_cannot_be_told_apart_the_chain_is_asked() -> None:
    """Whether the parser is between two requests has to be certain."""
    house = House()
    async with house.open() as connection:
        first = ASKED + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        assert await house.ask(*connection, first % len(ASKED)) == 200
        house.be_full()

        assert await house.ask(*connection, ASKED) == 200  # it is the body of the second

    assert house.served == [BODY, ASKED]


async def test_refusals_do_not_keep_a_connection_for_ever() -> None:
    """By its timer aiohttp would close it; now and then the chain answers, and it starts anew."""
    house = House(keep_alive_s=0.2)
    async with house.open() as connection:
        assert await house.ask(*connection, ASKED) == 200
        house.be_full()
        statuses = [503]
        while statuses[-1] == 503:
            statuses.append(await house.ask(*connection, ASKED))

    assert statuses[-1] == 200
