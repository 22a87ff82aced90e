"""The real chain on the real listener, with a handler of the test's own where the relay would be.

The rule here: callers are raw sockets, so that a test sees the bytes that callers see.
"""

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import SecretStr

from gateway.app import CHAIN, make_pressure
from gateway.auth.opening import open_methods
from gateway.auth.stored_keys import STORED_KEYS, StoredKeys
from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.config.settings import LoggingSpec, ServerSpec, Settings
from gateway.core.credential import Credential
from gateway.core.exchange import Exchange
from gateway.credentials.finder import CREDENTIALS, CredentialFinder
from gateway.credentials.pools import POOLS, Pools
from gateway.limits.limiter import Limiter
from gateway.middleware.assign_request_id import (
    IN_FLIGHT,
    OBSERVERS,
    PROXIES,
    add_response_headers,
)
from gateway.middleware.enforce_limits import LIMITER
from gateway.middleware.guard_stream import note_prepared
from gateway.middleware.read_request import HELD_BODIES, HeldBodies, hold_bodies, postpone_continue
from gateway.middleware.shed_load import PRESSURE
from gateway.plugins.keys import REGISTRY, SETTINGS
from gateway.server.site import listen, make_runner
from gateway.telemetry.in_flight import InFlight
from gateway.upstream.upstreams import UPSTREAMS, Upstreams
from gateway.wire.forwarded import TrustedProxies
from tests.plugins.declared import be_strict, refuse_undeclared
from tests.plugins.memory_log import configure_logging

TIMEOUT_S = 10
CREDENTIAL = "gsk_CanaryCanaryCanaryCanary0001"

_NO_UPSTREAMS = Upstreams({}, simulator_url=None)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Reply:
    """One answer as it came over the socket."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    is_whole: bool  # ended as its framing says
    raw: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def parse_reply(raw: bytes) -> Reply:
    """An answer from the bytes up to the end of its connection."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, rest = rest.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    status = int(status_line.split()[1]) if status_line else 0
    if headers.get("transfer-encoding") == "chunked":
        body, is_whole = _unchunk(rest)
    else:
        length = headers.get("content-length")
        body, is_whole = rest, length is None or len(rest) == int(length)
    return Reply(status, headers, body, is_whole, raw)


def _has_length_and_body(received: bytes) -> bool:
    """Whether an answer with a length is there; the connection may linger after it."""
    if b"\r\n\r\n" not in received or b"\r\nContent-Length:" not in received:
        return False
    return parse_reply(received).is_whole


def _unchunk(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body, rest == b"\r\n"
        body += rest[:length]
        rest = rest[length + 2 :]
    return body, False


def render_request(
    method: str,
    path: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    version: str = "1.1",
) -> bytes:
    """The bytes of a request that ends its connection; no header is added that is given."""
    given = {name.lower() for name, _ in headers}
    lines = [f"{method} {path} HTTP/{version}"]
    if "host" not in given:
        lines.append("Host: 127.0.0.1")
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not given & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    if "connection" not in given:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


@dataclass
class Running:
    """A chain that listens."""

    port: int
    runner: web.AppRunner
    exchanges: list[Exchange] = field(default_factory=list)  # those settled
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def held(self) -> HeldBodies:
        """The bodies in hand."""
        return self.runner.app[HELD_BODIES]

    async def ask(self, method: str = "GET", path: str = "/api/keys", **parts: Any) -> Reply:
        """Send one request and read its answer to the end of the connection."""
        return parse_reply(await self.send(render_request(method, path, **parts)))

    async def send(self, raw: bytes) -> bytes:
        """Send bytes and read until the answer or the connection ends, also by a reset."""
        reader, writer = await self.connect()
        received = b""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                writer.write(raw)
                with contextlib.suppress(ConnectionError):
                    while not _has_length_and_body(received) and (
                        piece := await reader.read(65536)
                    ):
                        received += piece
        finally:
            writer.close()
        return received

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    def note_settled(self, exchange: Exchange) -> None:
        """Keep an exchange and wake who waits for one; an observer."""
        self.exchanges.append(exchange)
        self._settled.set()

    async def wait_settled(self, count: int = 1) -> Exchange:
        """The last of so many settled exchanges."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.exchanges) < count:
                self._settled.clear()
                await self._settled.wait()
        return self.exchanges[count - 1]


StartChain = Callable[..., Awaitable[Running]]


def make_registry(**providers: Provider) -> Registry:
    """A registry with `groq`, which has a credential, and what else is given."""
    groq = Provider(name="groq", base_url="https://api.groq.com/openai/v1")
    return Registry(
        {"groq": groq, **providers}, {"groq": (Credential("GROQ_API_KEY", SecretStr(CREDENTIAL)),)}
    )


async def answer_ok(_: web.Request) -> web.StreamResponse:
    """What handlers do that are of no interest."""
    return web.json_response({"ok": True})


@pytest.fixture
async def start_chain() -> AsyncIterator[StartChain]:
    """Starts chains; all are stopped after the test."""
    started: list[web.AppRunner] = []

    async def start(  # noqa: PLR0913 - a test names the few parts it is about
        handler: Handler = answer_ok,
        *,
        settings: Settings | None = None,
        registry: Registry | None = None,
        chain: Sequence[Middleware] = CHAIN,
        server: ServerSpec | None = None,
        stored_keys: StoredKeys | None = None,
        limiter: Limiter | None = None,
        credentials: CredentialFinder | None = None,
    ) -> Running:
        settings = settings or Settings(server=server or ServerSpec())
        app = web.Application(middlewares=chain)
        app[SETTINGS] = settings
        app[REGISTRY] = registry = registry or make_registry()
        app[POOLS] = Pools(registry.credentials)
        app[CREDENTIALS] = credentials or CredentialFinder({}, app[POOLS])
        app[HELD_BODIES] = hold_bodies(settings.server)
        app[IN_FLIGHT] = InFlight()
        trusted = settings.server.trusted_proxies
        app[PROXIES] = TrustedProxies(trusted) if trusted else None
        app[LIMITER] = limiter
        if stored_keys is not None:
            app[STORED_KEYS] = stored_keys
        runner = make_runner(app, shutdown_s=0.1)
        running = Running(0, runner)
        app[OBSERVERS] = (app[POOLS].settle, running.note_settled, app[IN_FLIGHT].count_out)
        if limiter is not None:
            app[OBSERVERS] += (limiter.settle,)
        app.on_response_prepare.extend([note_prepared, add_response_headers])
        app.cleanup_ctx.append(open_methods)
        _add_routes(app, handler)
        await runner.setup()
        started.append(runner)
        sites = await listen(runner, "127.0.0.1", 0, settings.server)
        running.port = int(sites[0].url.rpartition(":")[2])
        return running

    yield start
    for runner in started:
        await runner.cleanup()


def _add_routes(app: web.Application, handler: Handler) -> None:
    app[UPSTREAMS] = _NO_UPSTREAMS  # the handler is where they would be asked
    app[PRESSURE] = make_pressure(app[SETTINGS])
    app[OBSERVERS] += (app[PRESSURE].seats.settle,)
    for path, name in (("/api/chat/{provider}", "chat"), ("/v1/chat/completions", "completions")):
        resource = app.router.add_resource(path, name=name)
        resource.add_route("POST", handler, expect_handler=postpone_continue)
    app.router.add_get("/api/keys", handler)
    app.router.add_get("/v1/models", handler)
    app.router.add_get("/v1/models/{model:.+}", handler)


class LogLines:
    """What was logged."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """All of it as it was written."""
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines so far, decoded."""
        return [json.loads(line) for line in self.text.splitlines()]

    def find(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Leaves logging as it was: what a test configures is for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    be_strict()
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)


@pytest.fixture
def log_lines(restored_logging: None) -> Iterator[LogLines]:  # noqa: ARG001 - for what it does afterwards
    """Log lines of every level, as JSON; all of them have to be declared."""
    stream = io.StringIO()
    configure_logging(LoggingSpec(format="json", level="debug"), stream=stream)
    lines = LogLines(stream)
    yield lines
    refuse_undeclared(lines.lines)
