"""The real relay at the end of the shortest chain there is, between a raw caller and a simulator.

The rule here: every test that awaits runs on both loops, because they differ where it hurts.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest
import uvloop
from aiohttp import web
from typing_extensions import override

from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.core.clock import monotonic, system_clock
from gateway.core.credential import Credential
from gateway.core.dialect import Dialect, dialect_of_path
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange, Outcome
from gateway.core.held_bodies import HeldBodies, HeldBody
from gateway.core.tasks import Tasks
from gateway.credentials.pools import Pools
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL, HELD_BODY, PROMPT, Call
from gateway.relay.relay import Relay
from gateway.simulator import Simulator
from gateway.upstream.upstreams import Upstreams
from gateway.wire.chat_request import read_chat
from gateway.wire.completions_request import read_completions
from tests.plugins.raw_caller import Caller, Heard, request_bytes

TIMEOUT_S = 10
MESSAGES = [{"role": "user", "content": "Hi"}]
# What the kernel holds for a caller that does not read; by default it is some MiB.
SEND_BUFFER_BYTES = 64 * 1024


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


class WatchedTasks(Tasks):
    """Background tasks whose start can be waited for."""

    def __init__(self, report_crash: Callable[[str, BaseException], None]) -> None:
        super().__init__(report_crash)
        self.has_spawned = asyncio.Event()

    @override
    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        super().spawn(name, work)
        self.has_spawned.set()


class Gateway:
    """A listener with the relay behind it, and what became of each exchange."""

    def __init__(
        self, provider: Provider, settings: Settings, credentials: Sequence[Credential] = ()
    ) -> None:
        self.provider = provider
        self.pools = Pools({provider.name: credentials} if credentials else {})
        self.upstreams = Upstreams({provider.name: provider}, simulator_url=None)
        self.crashes: list[BaseException] = []
        self.tasks = WatchedTasks(lambda _, error: self.crashes.append(error))
        self.relay = Relay(self.upstreams, self.pools, settings, self.tasks, system_clock)
        self.held_bodies = HeldBodies(2**30)
        self.settled: list[Exchange] = []
        self.raised: list[BaseException] = []
        self.port = 0
        self._changed = asyncio.Condition()
        self._notices: set[asyncio.Future[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application(middlewares=[self._chain])
        app.router.add_post("/v1/chat/completions", self.relay.handle)
        app.router.add_post("/api/chat/{provider}", self.relay.handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        await web.SockSite(self._runner, listening).start()
        self.port = listening.getsockname()[1]

    async def stop(self) -> None:
        """Close everything; nothing may have crashed or be left."""
        assert self._runner is not None
        await self._runner.cleanup()
        await self.tasks.cancel()
        self.upstreams.close()
        assert self.pools.held == 0
        assert self.crashes == []
        assert self.raised == []

    @property
    def pool(self) -> Any:
        """The connections to the provider."""
        return self.upstreams[self.provider.name].pool

    async def ask(self, directive: object, path: str = "/v1/chat/completions", **fields) -> Heard:
        """One request on a connection of its own, heard to its end."""
        version = fields.pop("version", "1.1")
        async with Caller(self.port) as caller:
            headers = ("Connection: close",)
            body = body_of(path, directive, **fields)
            await caller.send(request_bytes(path, body, headers=headers, version=version))
            return await caller.read_to_end()

    async def chat(self, directive: object, **fields) -> Heard:
        """The same in the chat front end's dialect."""
        return await self.ask(directive, "/api/chat/sim", **fields)

    async def wait_settled(self, count: int = 1) -> Exchange:
        """Wait until so many exchanges are settled; the last of them."""
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.settled) >= count)
        return self.settled[count - 1]

    def _observe(self, exchange: Exchange) -> None:
        self.settled.append(exchange)
        notice = asyncio.ensure_future(self._notify())
        self._notices.add(notice)
        notice.add_done_callback(self._notices.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _fill_in(self, request: web.Request, body: bytes) -> None:
        dialect = dialect_of_path(request.path)
        stream, usage = True, False
        if dialect is Dialect.OPENAI:
            asked = request[PROMPT] = read_completions(body)
            stream, usage = asked.stream, asked.wants_usage
        else:
            request[PROMPT] = read_chat(body)
        request[CALL] = Call(dialect, self.provider, request[PROMPT].model, stream, usage)
        request[CREDENTIAL] = self.pools.take(request[EXCHANGE], request[CALL])
        request[HELD_BODY] = HeldBody(self.held_bodies)
        request[HELD_BODY].keep(len(body))

    @web.middleware
    async def _chain(self, request: web.Request, handler: Any) -> web.StreamResponse:
        address = request.remote or ""
        exchange = Exchange(
            "req-1",
            monotonic(),
            request.method,
            request.path,
            address,
            (self.pools.settle, self._observe),
        )
        request[EXCHANGE] = exchange
        self._fill_in(request, await request.read())
        try:
            response = await handler(request)
        except asyncio.CancelledError:
            if not exchange.detached:
                exchange.settle(Outcome.CLIENT_GONE, at=monotonic())
            raise
        except GatewayError as error:
            exchange.error_code = error.code
            exchange.settle(Outcome.UPSTREAM_FAILED, at=monotonic())
            body = {"code": error.code, "message": error.public}
            return web.json_response(body, status=error.status, headers=error.headers)
        except ConnectionError:  # the caller left while the head was written
            exchange.settle(exchange.ending or Outcome.CLIENT_GONE, at=monotonic())
            raise
        except Exception as error:
            self.raised.append(error)
            raise
        exchange.status = response.status
        if not exchange.detached:
            exchange.settle(exchange.ending or Outcome.FINISHED, at=monotonic())
        return response


def body_of(path: str, directive: object, **fields: object) -> dict[str, Any]:
    """A request's body with a directive for the simulator."""
    if path.startswith("/v1/"):
        usual = {"model": "sim/m", "messages": MESSAGES, "stream": True, "simulate": directive}
        return {**usual, **fields}
    # Unknown fields do not pass there; the simulator is scripted, or told by a preset's name.
    return {"chatSettings": {"model": directive or "m"}, "messages": MESSAGES, **fields}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A provider that does what it is told."""
    async with Simulator() as started:
        yield started


@pytest.fixture
def make_provider(simulator: Simulator) -> Callable[..., Provider]:
    """The simulator as an entry of the registry."""

    def make(**fields: object) -> Provider:
        usual = {
            "name": "sim",
            "base_url": simulator.base_url,
            "allow_private": True,
            "auth": {"required": False},
        }
        return Provider.model_validate({**usual, **fields})

    return make


@pytest.fixture
async def open_gateway(make_provider: Callable[..., Provider]) -> AsyncIterator[Callable[..., Any]]:
    """Gateways to the simulator, closed at the end."""
    opened: list[Gateway] = []

    async def make(
        *,
        settings: dict[str, Any] | None = None,
        shown: Sequence[Credential] = (),
        **fields: object,
    ) -> Gateway:
        gateway = Gateway(make_provider(**fields), Settings.model_validate(settings or {}), shown)
        await gateway.start()
        opened.append(gateway)
        return gateway

    yield make
    for gateway in opened:
        await gateway.stop()


@pytest.fixture
async def gateway(open_gateway: Callable[..., Any]) -> Gateway:
    """A gateway with the usual settings."""
    return await open_gateway()
