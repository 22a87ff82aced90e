"""One connection to the simulator: requests are read as they come, answered one after the other.

The rule here: bytes in, requests out; what the answer is, is decided by the desk it asks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import httptools
from typing_extensions import override

from gateway.simulator.asking import Request
from gateway.simulator.journal import Served
from gateway.simulator.player import Player

if TYPE_CHECKING:
    from gateway.simulator.journal import Journal
    from gateway.simulator.plan import Plan

MAX_BODY_BYTES = 256 * 1024 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Desk(Protocol):
    """Who decides on answers and keeps count of connections."""

    journal: Journal
    is_stopping: bool

    def plan_answer(self, request: Request) -> Plan:
        """The answer to a request."""

    def opened(self, connection: Connection) -> int:
        """A connection is open; its number."""

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""


class Connection(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Request] = deque()
        self._player: Player | None = None
        self._requests = 0
        self._number = 0
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._is_answering = False
        # Of a request that is read once more: its headers, as they came.
        self._declined: list[tuple[str, str]] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._number = self._desk.opened(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._player is not None:
            self._player.abandon(peer_left=not self._desk.is_stopping)
        self._desk.closed(self)

    @override
    def data_received(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as upgrade:
                data = self._decline_upgrade(data[upgrade.args[0] :])
            except httptools.HttpParserError:
                self._refuse(BAD_REQUEST)
                data = b""

    @override
    def pause_writing(self) -> None:
        if self._player is not None:
            self._player.pause()

    @override
    def resume_writing(self) -> None:
        if self._player is not None:
            self._player.resume()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._target = b""
        self._headers = []
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Called by the parser, possibly with a part."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self._parser.should_upgrade():
            return
        if self._declined is not None:
            self._headers, self._declined = self._declined, None
        expected = next((v for k, v in self._headers if k.lower() == "expect"), "")
        if expected.lower() == "100-continue" and not self._is_answering:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(TOO_LARGE)
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._parser.should_upgrade():
            return
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=self._target.decode("latin-1"),
            headers=self._headers,
            body=b"".join(self._body),
            http_version=self._parser.get_http_version(),
        )
        self._queue.append(request)
        if not self._is_answering:
            self._answer_next()

    def _decline_upgrade(self, rest: bytes) -> bytes:
        """What to read on, as if no other protocol had been offered; a server may (RFC 9110, 7.8).

        Java's client offers HTTP/2 with its first request, and httptools passes over the body then.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(BAD_REQUEST)
            return b""
        version, self._declined = self._parser.get_http_version(), self._headers
        lines = [b"%b %b HTTP/%b" % (method, self._target, version.encode())]
        for name, value in self._headers:
            if name.lower() != "upgrade":
                lines.append(f"{name}: {value}".encode("latin-1"))
        self._parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", rest])

    def _answer_next(self) -> None:
        self._is_answering = bool(self._queue) and not self.transport.is_closing()
        if not self._is_answering:
            return
        self._requests += 1
        request = self._queue.popleft()
        served = Served(
            request=request,
            plan=self._desk.plan_answer(request),
            received_s=asyncio.get_running_loop().time(),
            connection_number=self._number,
            request_number=self._requests,
        )
        self._desk.journal.begin(served)
        self._player = Player(self.transport, served, self._desk.journal, self._go_on)
        self._player.play()

    def _go_on(self) -> None:
        """Take the next pipelined request, from the loop: a thousand must not nest."""
        if self._queue:
            asyncio.get_running_loop().call_soon(self._answer_next)
        else:
            self._is_answering = False

    def _refuse(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(reply)
            self.transport.close()
