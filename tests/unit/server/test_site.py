"""Apps on listening sockets."""

import asyncio
import socket

import pytest
import uvloop
from aiohttp import web

from gateway.config.overload import OverloadSpec
from gateway.config.settings import ServerSpec
from gateway.overload.machine import Machine
from gateway.overload.pressure import Pressure
from gateway.overload.seats import Seats
from gateway.server.site import (
    ACCEPTED_AT_ONCE,
    GatewaySite,
    listen,
    listen_on,
    make_runner,
    require_c_parser,
)
from gateway.server.sockets import open_sockets


async def test_callers_that_leave_cancel_their_handler() -> None:
    """The default of aiohttp notices them with the next write, which may never come."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", wait)
    runner = make_runner(app, shutdown_s=0.1)
    await runner.setup()
    [site] = await listen(runner, "127.0.0.1", 0, ServerSpec())
    _, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await begun.wait()
    writer.close()

    async with asyncio.timeout(5):
        await cancelled.wait()
    await runner.cleanup()


async def test_unused_connections_are_counted_not_logged() -> None:
    """A line for each would be what a flood is after."""
    counted: list[int] = []
    runner = make_runner(web.Application(), shutdown_s=0.1)
    await runner.setup()
    [site] = await listen(
        runner,
        "127.0.0.1",
        0,
        ServerSpec(head_timeout_s=0.01),
        when_unused=lambda: counted.append(1),
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    await reader.read()
    writer.close()
    await runner.cleanup()

    assert counted == [1]


def test_a_crowd_is_accepted_in_few_turns_of_the_loop() -> None:
    """M01: whoever waits to be accepted is not refused in time, and seen by nobody."""

    async def count_turns() -> int:
        runner = make_runner(web.Application(), shutdown_s=0.1)
        await runner.setup()
        sockets = await open_sockets("127.0.0.1", 0)
        pressure = Pressure(OverloadSpec(), Seats(1), Machine().read)
        [site] = await listen_on(runner, sockets, ServerSpec(), pressure=pressure)
        callers = [socket.socket() for _ in range(10 * ACCEPTED_AT_ONCE)]
        for caller in callers:
            caller.connect(("127.0.0.1", int(site.url.rpartition(":")[2])))
        assert runner.server is not None
        turns = 0
        while len(runner.server.connections) < len(callers):
            turns += 1
            await asyncio.sleep(0)
        for caller in callers:
            caller.close()
        await runner.cleanup()
        return turns

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        assert loop.run(count_turns()) < 3 * 10


async def test_a_site_that_is_stopped_accepts_nobody() -> None:
    """The first step of going down."""
    runner = make_runner(web.Application(), shutdown_s=0.1)
    await runner.setup()
    [site] = await listen(runner, "127.0.0.1", 0, ServerSpec())
    assert isinstance(site, GatewaySite)
    assert site.name == site.url
    await site.stop()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    await runner.cleanup()


async def test_a_site_that_is_stopped_serves_who_waits_to_be_accepted() -> None:
    """To the system they are connected, and a proxy has sent a request; with a reset it is lost."""
    runner = make_runner(web.Application(), shutdown_s=0.1)
    await runner.setup()
    [site] = await listen(runner, "127.0.0.1", 0, ServerSpec())
    address = ("127.0.0.1", int(site.url.rpartition(":")[2]))
    # Without a turn of the loop, so that nobody accepts them.
    waiting = [socket.create_connection(address, timeout=5) for _ in range(20)]

    await site.stop()
    for caller in waiting:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    heard = [await asyncio.to_thread(caller.recv, 1000) for caller in waiting]

    assert {answer[:12] for answer in heard} == {b"HTTP/1.1 404"}
    for caller in waiting:
        caller.close()
    await runner.cleanup()


def test_this_aiohttp_parses_in_c() -> None:
    """With the parser in Python the gateway does not start."""
    require_c_parser()
