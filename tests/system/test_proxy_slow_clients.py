"""Slow and silent callers at each reverse proxy, made by slowhttptest.

The rule here: every duration of the shipped files is divided by ten, and the gateway's with it,
so that seconds show what takes half a minute. All proxies are attacked at once.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.programs import find_program
from tests.plugins.proxies.row import (
    CHAT,
    GATEWAY_PORT,
    NAMES,
    V1,
    entry_of,
    only_linux,
    send,
)
from tests.plugins.proxies.running import Proxies, Proxy
from tests.plugins.raw_caller import Caller, request_bytes
from tests.plugins.raw_provider import RawProvider, read_request
from tests.plugins.scene import MESSAGES, error_of
from tests.plugins.stepped_provider import DONE, END, HEAD, SteppedProvider, chunk_of, event_of

pytestmark = only_linux()
PLAIN_LOOP = True

QUICKER = 10
PLACE, GATEWAY_PLACE = 20, 30
ATTACKERS = 8
ATTACK_S = 4
SILENCE_S = 3.4  # of a good stream: longer than any limit of a head, a body or an idle connection
PATIENCE_S = 6.0  # of the proxies with a silent gateway
PROMPT_S = 5.0  # in which a good caller is answered, on a machine that attacks itself
ALL_CLOSED = "No open connections left"
STALLED_S = (
    8.0  # until a stalled reader holds nothing of the gateway; 1.5 s and how long it is filled
)
ATTACKS = {
    "heads": ("-H", "-x", "8", "-u", "{url}/v1/models"),
    "bodies": ("-B", "-x", "8", "-s", "9000", "-u", "{url}/v1/chat/completions"),
    "reads": ("-X", "-w", "1", "-y", "8", "-z", "1", "-n", "1", "-k", "1", "-u", "{url}/v1/models"),
}


LENGTHS = {"heads": "12", "bodies": "12", "reads": "3"}  # seconds; most end before


@dataclass
class Siege:
    """All proxies in front of one gateway."""

    gateway: Gateway
    proxies: list[Proxy]
    providers: dict[str, SteppedProvider]  # one for the good caller of each proxy


@pytest.fixture
async def siege(proxies: Proxies, start_gateway: StartGateway) -> AsyncIterator[Siege]:
    """A gateway whose list of models is too long for the kernel to hold."""
    host = proxies.address(GATEWAY_PLACE)
    async with AsyncExitStack() as stack:
        providers = {name: await stack.enter_async_context(SteppedProvider()) for name in NAMES}
        silent = await stack.enter_async_context(RawProvider(never_answer))
        flood = await stack.enter_async_context(RawProvider(never_end))
        entries = {name: entry_of(each.base_url) for name, each in providers.items()}
        entries["sim"] = {
            **entry_of(f"http://127.0.0.1:{silent.port}/v1"),
            "models": [{"id": f"model-{number:04}-{'x' * 200}"} for number in range(300)],
        }
        entries["flood"] = {
            **entry_of(f"http://127.0.0.1:{flood.port}/v1"),
            "timeouts": {"write_stall_s": 30 / QUICKER},
        }
        gateway = await start_gateway(
            providers=entries,
            settings={
                "auth": [ENTRY],
                "server": {
                    "host": host,
                    "port": GATEWAY_PORT,
                    "head_timeout_s": 10 / QUICKER,
                    "request_body_timeout_s": 30 / QUICKER,
                },
            },
        )
        started = [
            proxies.start(name, PLACE + place, f"{host}:{GATEWAY_PORT}", quicker=QUICKER)
            for place, name in enumerate(NAMES)
        ]
        yield Siege(gateway, started, providers)


async def never_answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read a request and wait."""
    await read_request(reader)
    await reader.read()


async def never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a stream that is as fast as it is read."""
    await read_request(reader)
    writer.write(HEAD)
    while True:
        writer.write(chunk_of(event_of(content="x" * 16_000)))
        await writer.drain()


async def stall(siege: Siege, proxy: Proxy) -> str:
    """Ask for an endless stream and read nothing of it; what the gateway says of its end."""
    body = {"model": "flood/m", "messages": MESSAGES, "stream": True}
    request_id = f"stalled-{proxy.name}"
    log = siege.gateway.log
    async with Caller(proxy.port, host=proxy.host, small_buffer=True) as caller:
        await caller.send(request_bytes(V1, body, headers=(f"X-Request-ID: {request_id}",)))
        while not (ended := [line for line in log.settled if line["request_id"] == request_id]):
            await log.wait_for_settled(len(log.settled) + 1, STALLED_S)
    return str(ended[0]["outcome"])


async def attack(program: Path, proxy: Proxy, kind: str) -> str:
    """What slowhttptest says of why it has ended."""
    url = f"http://{proxy.host}:{proxy.port}"
    options = [each.format(url=url) for each in ATTACKS[kind]]
    count = str(ATTACKERS)
    running = await asyncio.create_subprocess_exec(
        *(program, "-c", count, "-r", count, "-i", "4", "-l", LENGTHS[kind], "-p", "1", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    written = (await running.communicate())[0].decode(errors="replace")
    said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", written)
    found = re.search(r"Exit status: *(.*)", said)
    assert found, said
    return found[1].strip()


async def stream_with_a_silence(siege: Siege, proxy: Proxy) -> bytes:
    """A good caller's answer, in the middle of which the provider thinks."""
    provider = siege.providers[proxy.name]
    body = {"model": f"{proxy.name}/m", "messages": MESSAGES, "stream": True}
    async with Caller(proxy.port, host=proxy.host) as caller:
        await caller.send(request_bytes(V1, body, headers=("Connection: close",)))
        await provider.open_stream()
        await provider.send(event_of(content="One"))
        await caller.read_until(event_of(content="One"))
        await asyncio.sleep(SILENCE_S)
        await provider.send(event_of(content=" two"))
        await caller.read_until(event_of(content=" two"))
        await provider.send(DONE)
        await provider.send_raw(END)
        return (await caller.read_to_end()).raw


async def ask_meanwhile(proxy: Proxy) -> float:
    """The longest time that a good caller waits for an answer during the attack."""
    loop = asyncio.get_running_loop()
    longest, until = 0.0, loop.time() + ATTACK_S - 1
    while loop.time() < until:
        begun = loop.time()
        heard = await send(proxy, b"GET /api/keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert heard.status == 200, proxy.name
        longest = max(longest, loop.time() - begun)
        await asyncio.sleep(0.2)  # a good caller is no attack: five questions a second
    return longest


async def lose_patience(proxy: Proxy, path: str) -> tuple[int, str, float]:
    """What becomes of a request that the gateway is silent about, and when."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    body = {"model": "sim/m", "messages": MESSAGES}
    if path == CHAT:
        body = {"chatSettings": {"model": "m"}, "messages": MESSAGES}
    heard = await send(proxy, request_bytes(path, body, headers=("Connection: close",)))
    return *error_of(heard), loop.time() - begun


async def test_slow_callers_are_ended_and_good_ones_are_not(siege: Siege) -> None:
    """A02, A03, A04: a few hundred sockets must not hold a place each for as long as they like."""
    program = find_program("slowhttptest", install="apt install slowhttptest")
    each = siege.proxies

    async with asyncio.TaskGroup() as group:
        attacks = {
            (proxy.name, kind): group.create_task(attack(program, proxy, kind))
            for proxy in each
            for kind in ATTACKS
        }
        streams = [group.create_task(stream_with_a_silence(siege, proxy)) for proxy in each]
        waits = [group.create_task(ask_meanwhile(proxy)) for proxy in each]
        stalls = [group.create_task(stall(siege, proxy)) for proxy in each]
        given_up = [
            group.create_task(lose_patience(proxy, path)) for proxy in each for path in (V1, CHAT)
        ]

    # One that reads a byte a second, of an answer that the kernel holds for it, is ended by nobody.
    ended = {key for key, task in attacks.items() if task.result() == ALL_CLOSED}
    assert ended >= {key for key in attacks if key[1] != "reads"}
    assert all(task.result().endswith(b"\r\n0\r\n\r\n") for task in streams)
    assert max(task.result() for task in waits) < PROMPT_S
    assert [task.result() for task in stalls] == ["client_gone"] * len(each)
    answers = [task.result() for task in given_up]
    # Apache makes no difference between a gateway that is silent and one that broke off.
    expected = {(504, "gateway_timeout"), (502, "gateway_unreachable")}
    assert {answer[:2] for answer in answers} == expected
    # Whoever asked them is told; the provider must not go on for nobody.
    left = {line["outcome"] for line in siege.gateway.log.settled if line["provider"] == "sim"}
    assert left == {"client_gone"}
    assert all(PATIENCE_S - 0.5 < answer[2] < PATIENCE_S + 1.5 for answer in answers)
