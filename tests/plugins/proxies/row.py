"""A caller's way through a proxy: provider, gateway, proxy.

The rule here: each test has a gateway of its own; the proxy in front of it is everybody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.proxies.running import KINDS, NGINX_HTTP10, Kind, Proxies, Proxy
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.scene import AUTH, GATEWAY_KEY
from tests.plugins.stepped_provider import SteppedProvider

MESSAGES = [{"role": "user", "content": "Hi"}]
V1, CHAT = "/v1/chat/completions", "/api/chat/sim"
BODIES: dict[str, dict[str, Any]] = {
    V1: {"model": "sim/m", "messages": MESSAGES, "stream": True},
    CHAT: {"chatSettings": {"model": "m"}, "messages": MESSAGES},
}
GATEWAY_PORT = 8080
UNREACHABLE = 502  # Caddy's word for it
PAUSE_S = 0.02  # between two pieces of an answer
BEHIND = 10  # by how many places a gateway's address differs from its proxy's
NAMES = list(KINDS)
# Of which one comes twice: nginx with what it speaks where nobody has told it what to speak.
STREAMING = [*KINDS.values(), NGINX_HTTP10]
BELOW = "/llm"  # where the gateway is on another site

OpenRow = Callable[..., Awaitable["Row"]]
OpenBehind = Callable[..., Awaitable[Gateway]]


def only_linux() -> pytest.MarkDecorator:
    """Skip where a machine has but one address of its own."""
    return pytest.mark.skipif(
        not Path("/proc/self").exists(), reason="only Linux has all of 127.0.0.0/8"
    )


@pytest.fixture(params=NAMES)
def proxy(proxies: Proxies, request: pytest.FixtureRequest) -> Proxy:
    """Each proxy, as it ships, in front of one gateway."""
    kind: Kind = KINDS[request.param] if isinstance(request.param, str) else request.param
    place = STREAMING.index(kind)
    return proxies.start(kind, place, f"{proxies.address(place + BEHIND)}:{GATEWAY_PORT}")


def listening(proxy: Proxy) -> dict[str, Any]:
    """What `server` says of a gateway that the proxy finds."""
    host, _, port = proxy.plan.first.rpartition(":")
    return {"host": host, "port": int(port)}


def entry_of(base_url: str) -> dict[str, Any]:
    """A provider that is asked once and needs no credential."""
    usual = {"allow_private": True, "auth": {"required": False}, "retries": 0}
    return {"base_url": base_url, **usual}


@dataclass
class Row:
    """A provider, the gateway, and a proxy in front of it."""

    provider: SteppedProvider
    gateway: Gateway
    proxy: Proxy

    def call(self, below: str = "") -> Caller:
        """A connection to the proxy; to the other site, where the gateway is below a path."""
        port = self.proxy.beside_port if below else self.proxy.port
        return Caller(port, host=self.proxy.host)

    async def pause(self) -> None:
        """A moment in which what was sent may travel."""
        await asyncio.sleep(PAUSE_S)

    async def ask(
        self, caller: Caller, path: str, below: str = "", *, is_last: bool = True
    ) -> None:
        """Send one request, that ends its connection unless more are to follow."""
        headers = ("Connection: close",) if is_last else ()
        headers = (*headers, "Accept-Encoding: gzip")
        await caller.send(request_bytes(f"{below}{path}", BODIES[path], headers=headers))


@pytest.fixture
async def provider() -> AsyncIterator[SteppedProvider]:
    """A provider that does what the test says, when it says so."""
    async with SteppedProvider() as stepped:
        yield stepped


@pytest.fixture
def open_row(provider: SteppedProvider, start_gateway: StartGateway, proxy: Proxy) -> OpenRow:
    """Puts all three in a row; fields are of `commit`."""

    async def make(**commit: float) -> Row:
        await forget_the_last_gateway(proxy)
        gateway = await start_gateway(
            providers={"sim": entry_of(provider.base_url)},
            settings={"auth": [ENTRY], "server": listening(proxy), "commit": commit},
        )
        return Row(provider, gateway, proxy)

    return make


@pytest.fixture
async def row(open_row: OpenRow) -> Row:
    """All three, with the usual settings."""
    return await open_row()


async def send(proxy: Proxy, raw: bytes, *, port: int | None = None) -> Heard:
    """Bytes on a connection of their own, and all that comes back."""
    async with Caller(port or proxy.port, host=proxy.host) as caller:
        await caller.send(raw)
        return await caller.read_to_end()


async def forget_the_last_gateway(proxy: Proxy) -> None:
    """Have Caddy try all connections that it has kept, while no gateway is there.

    On a machine with much to do it hears of their end when a prompt is on its way, which it cannot
    send again. What has no body it sends again, until no connection is left.
    """
    if proxy.kind.part == "caddy":
        heard = await send(proxy, b"GET /v1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert heard.status == UNREACHABLE


@pytest.fixture
def behind(start_gateway: StartGateway, simulator: Simulator, proxy: Proxy) -> OpenBehind:
    """Starts a gateway that takes a key, where the proxy looks for one; fields are of `server`."""

    async def start(*, auth: object = AUTH, **server: object) -> Gateway:
        entry = {"base_url": simulator.base_url, "allow_private": True, "retries": 0}
        written = {"server": {**listening(proxy), **server}}
        await forget_the_last_gateway(proxy)
        gateway = await start_gateway(
            providers={"sim": entry},
            settings=written if auth is None else {**written, "auth": auth},
            environ={"SIM_API_KEY": CREDENTIAL},
        )
        gateway.secrets.append(GATEWAY_KEY)
        return gateway

    return start
