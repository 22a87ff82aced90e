"""Accepting for workers that are away."""

import asyncio
import contextlib
import resource
import socket
from typing import ClassVar

import pytest
from aiohttp import web

from gateway.config.overload import OverloadSpec
from gateway.config.settings import ServerSpec
from gateway.overload.machine import Machine
from gateway.overload.pressure import Pressure
from gateway.overload.seats import Seats
from gateway.server.site import listen_on, make_runner
from gateway.server.sockets import SPREADS, open_shared_sockets
from gateway.server.stand_ins import StandIns

pytestmark = pytest.mark.skipif(not SPREADS, reason="elsewhere all workers accept from one socket")

REQUEST = b"GET / HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"


async def answer(_: web.Request) -> web.Response:
    """Say something."""
    return web.Response(text="here")


async def ask(port: int) -> str:
    """The status line of an answer; as long as nobody accepts, there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    try:
        return (await reader.read()).partition(b"\r\n")[0].decode()
    finally:
        writer.close()


async def test_callers_of_those_who_are_away_are_answered() -> None:
    """K02: also those who were in the queue before; and not by two once they are back."""
    own, away = await open_shared_sockets("127.0.0.1", 0, 2)
    port = own[0].getsockname()[1]
    app = web.Application()
    app.router.add_get("/", answer)
    runner = make_runner(app, shutdown_s=1)
    await runner.setup()
    (site,) = await listen_on(runner, own, ServerSpec())
    stand_ins = StandIns({1: away})
    asked = [asyncio.ensure_future(ask(port)) for _ in range(30)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    waited = sum(not one.done() for one in asked)

    await stand_ins.accept_for([1], beside=site)
    answers = await asyncio.gather(*asked)

    assert waited
    assert set(answers) == {"HTTP/1.1 200 OK"}
    assert stand_ins.accepts_for == [1]
    await stand_ins.accept_for([], beside=site)
    assert stand_ins.accepts_for == []
    assert away[0].fileno() >= 0  # it may be needed again
    await stand_ins.accept_for([1], beside=site)
    assert await ask(port) == "HTTP/1.1 200 OK"
    await stand_ins.close()
    await runner.cleanup()
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pytest.fail("somebody listens still")


class Watched(socket.socket):
    """A socket that notes what its copies are told about waiting."""

    told: ClassVar[list[float | None]] = []

    def settimeout(self, value: float | None) -> None:
        """Note it."""
        self.told.append(value)
        super().settimeout(value)


async def test_whoever_else_accepts_there_never_blocks() -> None:
    """The flag is everybody's who has the socket; Python does not know it of one it was sent."""
    own, away = await open_shared_sockets("127.0.0.1", 0, 2)
    sent = [Watched(fileno=one.detach()) for one in away]
    assert [one.gettimeout() for one in sent] == [None]
    runner = make_runner(web.Application(), shutdown_s=1)
    await runner.setup()
    (site,) = await listen_on(runner, own, ServerSpec())
    stand_ins = StandIns({1: sent})

    await stand_ins.accept_for([1], beside=site)

    assert set(Watched.told) == {0.0}
    await stand_ins.close()
    await runner.cleanup()


async def test_who_could_not_stand_in_once_does_so_when_it_can() -> None:
    """K02: for a moment no file was left; what is half done must not be taken for done."""
    own, away = await open_shared_sockets("127.0.0.1", 0, 2)
    runner = make_runner(web.Application(), shutdown_s=1)
    await runner.setup()
    (site,) = await listen_on(runner, own, ServerSpec())
    stand_ins = StandIns({1: away})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="open files"):
            await stand_ins.accept_for([1], beside=site)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert stand_ins.accepts_for == []
    assert runner.sites == {site}

    await stand_ins.accept_for([1], beside=site)

    assert len(runner.sites) == 2
    await stand_ins.close()
    await runner.cleanup()


async def test_whoever_was_accepted_for_another_stays_when_that_is_back() -> None:
    """K02: they were refused, and use their connection again; nobody is to be reset."""
    own, away = await open_shared_sockets("127.0.0.1", 0, 2)
    port = own[0].getsockname()[1]
    runner = make_runner(web.Application(), shutdown_s=1)
    await runner.setup()
    pressure = Pressure(OverloadSpec(), Seats(1), Machine().read)
    pressure.door.note([], "alice")
    (site,) = await listen_on(runner, own, ServerSpec(), pressure=pressure)
    stand_ins = StandIns({1: away})
    await stand_ins.accept_for([1], beside=site)
    callers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    async with asyncio.timeout(10):
        while len(site._doorkeepers) < 20:  # noqa: ASYNC110, SLF001 - nobody tells
            await asyncio.sleep(0)

    await stand_ins.accept_for([], beside=site)

    heard = [await is_open(reader) for reader, _ in callers]
    assert heard == [True] * 20
    await site.stop()
    assert [await reader.read() for reader, _ in callers] == [b""] * 20
    for _, writer in callers:
        writer.close()
    await stand_ins.close()
    await runner.cleanup()


async def is_open(reader: asyncio.StreamReader) -> bool:
    """Whether a connection has not been closed so far."""
    for _ in range(3):
        await asyncio.sleep(0)
    return not reader.at_eof()


async def test_after_the_end_nothing_is_accepted_any_more() -> None:
    """A word of the supervisor's may come when the worker drains already."""
    own, away = await open_shared_sockets("127.0.0.1", 0, 2)
    runner = make_runner(web.Application(), shutdown_s=1)
    await runner.setup()
    (site,) = await listen_on(runner, own, ServerSpec())
    stand_ins = StandIns({1: away})
    accepting = asyncio.ensure_future(stand_ins.accept_for([1], beside=site))
    await asyncio.sleep(0)

    await stand_ins.close()
    await accepting
    await stand_ins.accept_for([1], beside=site)

    assert runner.sites == {site}
    assert away[0].fileno() == -1
    await runner.cleanup()
