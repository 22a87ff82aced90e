"""An app on a listening socket.

The rule here: a listener that lacks a safeguard does not start.
"""

import asyncio
import contextlib
import functools
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

import uvloop
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser
from typing_extensions import override

from gateway.config.settings import ServerSpec
from gateway.overload.pressure import Pressure
from gateway.server.connection import GatewayConnection
from gateway.server.connection_limit import ConnectionLimit
from gateway.server.departures import Departures
from gateway.server.doorkeeper import Doorkeeper
from gateway.server.sockets import BACKLOG, close_sockets, copy_of, open_sockets, url_of
from gateway.server.unix_sockets import is_unix

# All workers that share a Unix socket share its file, so no single one may remove it.
KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
# libuv accepts one connection per socket in each loop iteration. If an iteration takes 25 ms, that
# is 40 a second, and all others wait for seconds unnoticed (measured: a hundred take 101
# iterations, but only 17 with eight handles of the same socket). Each handle costs half a
# microsecond of wasted work when a single caller comes.
ACCEPTED_AT_ONCE = 8
C_PARSER = "aiohttp._http_parser"


class ParserError(RuntimeError):
    """aiohttp runs without its C parser."""


class GatewaySite(web.BaseSite):
    """One listening socket of one app."""

    def __init__(
        self,
        runner: web.BaseRunner,
        listening: socket.socket,
        settings: ServerSpec,
        *,
        connection_limit: ConnectionLimit,
        departures: Departures,
        when_unused: Callable[[], None],
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._listening = listening
        self._settings = settings
        self._connection_limit = connection_limit
        self._departures = departures
        self._when_unused = when_unused
        # Set on the public listener, where callers may be refused at the door.
        self.pressure: Pressure | None = None
        self._acceptors: list[asyncio.Server] = []
        self._handles = [listening]
        self._doorkeepers: set[Doorkeeper] = set()
        self._is_guest = False
        self.url = url_of(listening)

    @property
    @override
    def name(self) -> str:
        """Where it listens."""
        return self.url

    @override
    async def start(self) -> None:
        """Accept connections."""
        await super().start()
        loop = asyncio.get_running_loop()
        if is_unix(self._listening):
            acceptor = await loop.create_unix_server(
                self._make_protocol, sock=self._listening, backlog=BACKLOG, **KEEP_FILE
            )
            self._acceptors = [acceptor]
            return
        if self.pressure is not None and isinstance(loop, uvloop.Loop):
            for _ in range(ACCEPTED_AT_ONCE - 1):
                self._handles.append(copy_of(self._listening))
        for handle in self._handles:
            acceptor = await loop.create_server(self._make_protocol, sock=handle, backlog=BACKLOG)
            self._acceptors.append(acceptor)

    @override
    async def stop(self) -> None:
        """Stop accepting, except callers who are already waiting in the socket's queue.

        They believe that they have sent their request, and closing the socket would reset them.
        """
        await super().stop()
        # If this is another worker's socket, that worker is back and takes its own queue.
        waiting = [] if self._is_guest else self._take_waiting()
        for acceptor in self._acceptors:
            acceptor.close()
        close_sockets(self._handles)  # including handles that failed to start
        # Callers accepted for another worker stay connected when that is back.
        for doorkeeper in () if self._is_guest else tuple(self._doorkeepers):
            doorkeeper.leave()
        loop = asyncio.get_running_loop()
        for caller in waiting:
            await loop.connect_accepted_socket(self._make_connection, caller)

    def _take_waiting(self) -> list[socket.socket]:
        waiting: list[socket.socket] = []
        with contextlib.suppress(OSError):  # empty, no file left, or already closed
            while True:
                caller, _ = self._listening.accept()
                caller.setblocking(False)  # noqa: FBT003 - the standard library's signature
                waiting.append(caller)
        return waiting

    def close_idle(self) -> None:
        """Close every connection that was refused at the door and has not sent another request."""
        for doorkeeper in tuple(self._doorkeepers):
            doorkeeper.leave_if_idle()

    def _make_protocol(self) -> asyncio.Protocol:
        pressure = self.pressure
        if pressure is None or not pressure.door.is_watched:
            return self._make_connection()
        return Doorkeeper(
            pressure.turn_away,
            self._make_connection,
            self._doorkeepers,
            self._connection_limit,
            wait_s=self._settings.head_timeout_s,
            keep_alive_s=self._settings.keep_alive_s,
        )

    def next_to(self, listening: socket.socket) -> "GatewaySite":
        """Another site of the same app under the same limit; must be stopped before this one."""
        site = GatewaySite(
            self._runner,
            listening,
            self._settings,
            connection_limit=self._connection_limit,
            departures=self._departures,
            when_unused=self._when_unused,
        )
        site.pressure = self.pressure
        site._doorkeepers = self._doorkeepers
        site._is_guest = True
        return site

    def _make_connection(self) -> GatewayConnection:
        server = self._runner.server
        if server is None:
            raise RuntimeError("The runner is not set up.")
        loop = asyncio.get_running_loop()
        connection = GatewayConnection(
            server,
            self._settings,
            loop=loop,
            connection_limit=self._connection_limit,
            departures=self._departures,
            when_unused=self._when_unused,
        )
        if self.pressure is not None:
            connection.refuse = self.pressure.turn_away
        return connection


def make_runner(app: web.Application, *, shutdown_s: float) -> web.AppRunner:
    """A runner whose handlers are cancelled when their caller leaves; `setup` starts the app."""
    # Without that we would notice that a caller left only at the next write, which may never come.
    return web.AppRunner(app, handler_cancellation=True, shutdown_timeout=shutdown_s)


async def listen(
    runner: web.AppRunner,
    host: str,
    port: int,
    settings: ServerSpec,
    *,
    when_unused: Callable[[], None] = lambda: None,
) -> list[GatewaySite]:
    """Start accepting on every address of a host; ListenError if that fails."""
    require_c_parser()
    sockets = await open_sockets(host, port)
    return await listen_on(runner, sockets, settings, when_unused=when_unused)


async def listen_on(
    runner: web.AppRunner,
    sockets: Iterable[socket.socket],
    settings: ServerSpec,
    *,
    when_unused: Callable[[], None] = lambda: None,
    when_turned_away: Callable[[], None] = lambda: None,
    pressure: Pressure | None = None,
) -> list[GatewaySite]:
    """Start accepting on sockets that are already bound."""
    require_c_parser()
    connection_limit, departures = ConnectionLimit(when_turned_away), Departures()
    connection_limit.when_full = functools.partial(close_idle_connections, runner)
    sites = [
        GatewaySite(
            runner,
            listening,
            settings,
            connection_limit=connection_limit,
            departures=departures,
            when_unused=when_unused,
        )
        for listening in sockets
    ]
    for site in sites:
        site.pressure = pressure
        await site.start()
    return sites


def retire_connections(runner: web.AppRunner) -> None:
    """Close every connection once nobody uses it any more."""
    for connection in _connections_of(runner):
        connection.retire()


def last_call_s(runner: web.AppRunner) -> float:
    """How much longer retiring connections wait for a last request."""
    return max((each.last_call_s for each in _connections_of(runner)), default=0.0)


def close_idle_connections(runner: web.AppRunner) -> None:
    """Close every connection that was used and now waits for another request."""
    for connection in _connections_of(runner):
        connection.close_if_idle()
    for site in runner.sites:
        if isinstance(site, GatewaySite):
            site.close_idle()


def _connections_of(runner: web.AppRunner) -> list[GatewayConnection]:
    server = runner.server
    connections = [] if server is None else server.connections
    return [each for each in connections if isinstance(each, GatewayConnection)]


def require_c_parser() -> None:
    """Raise if aiohttp would parse requests in Python.

    Its Python parser has accepted framings that the C parser refuses (request smuggling).
    """
    if HttpRequestParser.__module__ != C_PARSER:
        raise ParserError(
            "aiohttp runs without its C parser, whose strictness the gateway relies on. "
            "Install a wheel of aiohttp for this platform, and do not set AIOHTTP_NO_EXTENSIONS."
        )
