"""Two gateways behind each reverse proxy: one is killed, and one is told to stop.

The rule here: all proxies stand in front of the same two, so that each is killed once. What a
gateway's provider says names the gateway.
"""

import asyncio
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import ClientSession, TCPConnector

from gateway.simulator import Simulator
from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.proxies.plan import ADMIN_PORT
from tests.plugins.proxies.row import GATEWAY_PORT, NAMES, V1, entry_of, only_linux, send
from tests.plugins.proxies.running import Proxies, Proxy
from tests.plugins.raw_caller import Caller, request_bytes
from tests.plugins.raw_provider import RawProvider, read_request
from tests.plugins.scene import MESSAGES
from tests.plugins.stepped_provider import DONE, END, HEAD, chunk_of, event_of

pytestmark = only_linux()
PLAIN_LOOP = True

PLACE, FIRST, SECOND = 50, 60, 61
GONE_PLACE, GONE = 65, 75
QUICKER = 10  # by how much what is waited for is shorter in front of a machine that is gone
STREAMS = 4  # through each proxy
CROWD, ANSWERS = 8, 50  # callers of each proxy, and answers to them
AGAIN_S = 6.0  # until a gateway that has come back is asked again
TICK_S = 0.02


class Speaker:
    """A provider that says one word again and again, until it may end."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.may_end = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        await read_request(reader)
        writer.write(HEAD)
        while not self.may_end.is_set():
            writer.write(chunk_of(event_of(content=self.word)))
            await writer.drain()
            await asyncio.sleep(TICK_S)
        writer.write(chunk_of(DONE) + END)
        await writer.drain()


@dataclass
class Stream:
    """An answer that flows through a proxy."""

    proxy: Proxy
    caller: Caller
    word: str = ""

    async def begin(self) -> None:
        """Ask, and read until it is clear who answers."""
        body = {"model": "sim/m", "messages": MESSAGES, "stream": True}
        await self.caller.send(request_bytes(V1, body, headers=("Connection: close",)))
        said = await self.caller.read_until(b'"}, "finish')
        self.word = said.rpartition(b'"content": "')[2].partition(b'"')[0].decode()


@dataclass
class Pair:
    """All proxies in front of two gateways."""

    starter: Proxies
    proxies: list[Proxy]
    stack: AsyncExitStack
    speakers: dict[str, Speaker]
    addresses: dict[str, str]
    settings: dict[str, dict[str, Any]]
    providers: dict[str, dict[str, Any]]

    def start_proxies(self) -> None:
        """Let them ask; both gateways are there, or they would be taken for dead at first."""
        gateways = [f"{host}:{GATEWAY_PORT}" for host in self.addresses.values()]
        self.proxies = [
            self.starter.start(name, PLACE + place, *gateways) for place, name in enumerate(NAMES)
        ]

    async def open_streams(self) -> list[Stream]:
        """Several through each proxy."""
        streams = [
            Stream(proxy, await self.stack.enter_async_context(Caller(proxy.port, host=proxy.host)))
            for proxy in self.proxies
            for _ in range(STREAMS)
        ]
        await asyncio.gather(*(stream.begin() for stream in streams))
        return streams

    async def ask_all(self, count: int) -> None:
        """Assert that short questions through every proxy are answered, one after the other."""
        body = {"model": "quick/plain", "messages": MESSAGES}
        raw = request_bytes(V1, body, headers=("Connection: close",))

        async def ask(proxy: Proxy) -> list[int]:
            return [(await send(proxy, raw)).status for _ in range(count)]

        for proxy, statuses in zip(
            self.proxies, await asyncio.gather(*map(ask, self.proxies)), strict=True
        ):
            refused = [] if proxy.asks_again else [502]  # who finds out that a gateway is gone
            assert statuses.count(200) >= count - len(refused), proxy.name
            assert {200, *statuses} <= {200, *refused}, proxy.name


@pytest.fixture
async def pair(proxies: Proxies, simulator: Simulator) -> AsyncIterator[Pair]:
    """Everything but the gateways."""
    names = {"one": proxies.address(FIRST), "two": proxies.address(SECOND)}
    async with AsyncExitStack() as stack:
        speakers = {name: Speaker(name) for name in (*names, "three")}
        entries = {}
        for name, speaker in speakers.items():
            provider = await stack.enter_async_context(RawProvider(speaker.serve))
            entries[name] = {
                "sim": entry_of(f"http://127.0.0.1:{provider.port}/v1"),
                "quick": entry_of(simulator.base_url),
            }
        settings = {
            name: {
                "auth": [ENTRY],
                "server": {"host": host, "port": GATEWAY_PORT},
                "admin": {"host": host, "port": ADMIN_PORT},
            }
            for name, host in {**names, "three": names["one"]}.items()
        }
        pair = Pair(proxies, [], stack, speakers, names, settings, entries)
        yield pair
        for proxy in pair.proxies:
            print(proxy.name, proxy.log, sep="\n")  # noqa: T201 - shown when the test failed


async def test_one_of_two_gateways_may_die_and_may_be_told_to_stop(
    pair: Pair, start_gateway: StartGateway, tmp_path: Path
) -> None:
    """K01, K02: nothing is lost but what flowed through it, and that is seen to be lost."""
    two = await start_gateway(providers=pair.providers["two"], settings=pair.settings["two"])
    async with gateway_process(
        tmp_path,
        pair.providers["one"],
        pair.settings["one"],
        listening=(GATEWAY_PORT, ADMIN_PORT),
    ) as one:
        pair.start_proxies()
        await check_the_killed_one(pair, one)
    three = await start_gateway(providers=pair.providers["three"], settings=pair.settings["three"])
    await wait_until_asked(pair, three)
    await check_the_draining_one(pair, three)

    outcomes = {line["outcome"] for line in (*two.log.settled, *three.log.settled)}
    assert outcomes == {"finished"}


async def check_the_killed_one(pair: Pair, one: GatewayProcess) -> None:
    """Its streams break, the others go on, and whoever asks is answered."""
    streams = await pair.open_streams()
    for proxy in pair.proxies:
        words = {stream.word for stream in streams if stream.proxy is proxy}
        assert words == {"one", "two"}, proxy.name

    await one.kill()
    await pair.ask_all(3)
    pair.speakers["two"].may_end.set()

    for stream in streams:
        heard = await stream.caller.read_to_end()
        hides = stream.proxy.hides_cuts
        assert heard.raw.endswith(END) == (stream.word == "two" or hides), stream.proxy.name
        assert (DONE in heard.raw) == (stream.word == "two")


async def wait_until_asked(pair: Pair, gateway: Gateway) -> None:
    """Ask until each proxy has found out that there are two again."""
    pair.speakers["two"].may_end.clear()
    waiting = list(pair.proxies)
    async with asyncio.timeout(AGAIN_S):
        while waiting:
            before = len(gateway.log.settled)
            body = {"model": "quick/plain", "messages": MESSAGES}
            heard = await send(waiting[0], request_bytes(V1, body, headers=("Connection: close",)))
            assert heard.status == 200
            if len(gateway.log.settled) > before:
                del waiting[0]
            else:
                await asyncio.sleep(TICK_S)


class Crowd:
    """Callers of each proxy, each of whom asks again as soon as it is answered."""

    def __init__(self, proxies: list[Proxy]) -> None:
        self._proxies = proxies
        self._is_over = False
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._session = ClientSession(connector=TCPConnector(limit=0))
        self.statuses: dict[str, list[int]] = {proxy.name: [] for proxy in proxies}

    async def __aenter__(self) -> Self:
        for proxy in self._proxies:
            self._tasks += [asyncio.create_task(self._ask(proxy)) for _ in range(CROWD)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        async with self._session:
            await asyncio.gather(*self._tasks)

    async def wait_for_answers(self) -> None:
        """Wait until they have had some more."""
        wanted = {name: len(had) + ANSWERS for name, had in self.statuses.items()}
        async with asyncio.timeout(AGAIN_S):
            while any(len(self.statuses[name]) < count for name, count in wanted.items()):
                self._answered.clear()
                await self._answered.wait()

    async def _ask(self, proxy: Proxy) -> None:
        body = {"model": "quick/plain", "messages": MESSAGES}
        while not self._is_over:
            async with self._session.post(f"{proxy.url}{V1}", json=body) as reply:
                await reply.read()
            self.statuses[proxy.name].append(reply.status)
            self._answered.set()


async def check_the_draining_one(pair: Pair, three: Gateway) -> None:
    """What flows through it is finished, and nobody notices that it goes."""
    streams = await pair.open_streams()
    assert {stream.word for stream in streams} == {"two", "three"}
    async with Crowd(pair.proxies) as crowd:
        await crowd.wait_for_answers()
        draining = asyncio.create_task(three.service.drain())
        await asyncio.sleep(0)
        await pair.ask_all(3)
        for name in ("two", "three"):
            pair.speakers[name].may_end.set()
        heard = [await stream.caller.read_to_end() for stream in streams]
        await draining
        await crowd.wait_for_answers()

    for proxy in pair.proxies:
        statuses = crowd.statuses[proxy.name]
        assert set(statuses) <= ({200} if proxy.asks_again else {200, 502}), proxy.name
        assert statuses.count(502) <= CROWD  # each of them may find out in the same moment
    assert all(each.raw.endswith(END) and DONE in each.raw for each in heard)


@contextmanager
def gone_machine(host: str) -> Iterator[str]:
    """An address that refuses nothing and answers nothing, as where a machine is gone."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((host, GATEWAY_PORT), backlog=0))
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's own
            waiting.connect_ex(listening.getsockname())
            writable = select.select([], [waiting], [], TICK_S)[1]
            if not writable:  # its queue is full, and the kernel drops who comes
                break
        yield f"{host}:{GATEWAY_PORT}"


async def test_a_machine_that_is_gone_is_passed_over(
    proxies: Proxies, simulator: Simulator, start_gateway: StartGateway
) -> None:
    """It refuses no connection: whoever waits for one asks the other gateway after that."""
    host = proxies.address(GONE + 1)
    gateway = await start_gateway(
        providers={"quick": entry_of(simulator.base_url)},
        settings={
            "auth": [ENTRY],
            "server": {"host": host, "port": GATEWAY_PORT},
            "admin": {"host": host, "port": ADMIN_PORT},
        },
    )
    body = {"model": "quick/plain", "messages": MESSAGES}
    raw = request_bytes(V1, body, headers=("Connection: close",))

    async def ask(proxy: Proxy) -> list[int]:
        return [(await send(proxy, raw)).status for _ in range(2)]

    with gone_machine(proxies.address(GONE)) as gone:
        started = [
            proxies.start(name, GONE_PLACE + place, gone, f"{host}:{GATEWAY_PORT}", quicker=QUICKER)
            for place, name in enumerate(NAMES)
        ]
        asking = [proxy for proxy in started if proxy.asks_again]
        statuses = await asyncio.gather(*map(ask, asking))

    assert statuses == [[200, 200]] * len(asking)
    assert simulator.journal.count == 2 * len(asking)
    assert {line["outcome"] for line in gateway.log.settled} == {"finished"}
