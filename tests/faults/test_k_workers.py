"""Group K, several workers: what one of them dies of is no other one's business.

The rule here: the workers are real processes behind one port, the counters are in a real Redis, and
what callers got and what was booked is held against the simulator's journal.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Simulator
from gateway.simulator.journal import Served
from gateway.stores.counters import LEASE_S
from gateway.stores.redis_counters import HOLDS
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.ledgers import read_books
from tests.plugins.open_files import need_files
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.redis_server import RedisServer
from tests.plugins.scene import AUTH, V1, body_of, eventually, header_of, raw_request

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are read from /proc"
)

WORKERS = 4
STREAMS = 300
WAITING = 40
PLACES = 2 * STREAMS
PAUSED = {"count": 6, "stall": {"after_tokens": 2, "for_s": 2.0}}
# Where the file is, whoever imports this dies as of a broken extension module.
CRASHING = """
import os, signal
from pathlib import Path
from aiohttp import web

if Path("crash").exists():
    os.kill(os.getpid(), signal.SIGSEGV)


@web.middleware
async def pass_on(request, handler):
    return await handler(request)
"""


@dataclass
class Stream:
    """What one caller got."""

    name: str
    heard: Heard

    @property
    def request_id(self) -> str:
        """What the gateway calls it."""
        return header_of(self.heard, "x-request-id") or ""


def ask(directive: object, name: str = "") -> bytes:
    """A whole request that ends its connection."""
    fields = {"user": name, "stream_options": {"include_usage": True}}
    body = json.dumps(body_of(V1, directive, **fields)).encode()
    length = f"Content-Length: {len(body)}"
    return raw_request(f"POST {V1} HTTP/1.1", length, "Connection: close", body=body)


async def answer(gateway: GatewayProcess) -> Heard:
    """One answer on a connection of its own."""
    async with Caller(gateway.port) as caller:
        await caller.send(ask("plain"))
        return await caller.read_to_end()


def places_taken(valkey: RedisServer) -> int:
    """What Redis counts for the one caller."""
    keys = valkey.run("KEYS", "{chat-gateway}:c:few-concurrent*")
    # One may lapse between the two questions.
    found = [valkey.run("GET", key) for key in keys]
    return sum(int(text.split()[1]) for text in found if text)


async def test_a_killed_worker_takes_its_own_streams_and_nothing_else(
    tmp_path: Path, simulator: Simulator, valkey: RedisServer
) -> None:
    """K02, K03, K08, K11, K12, I04: of 300 streams one worker of four loses its own.

    It hangs first, and its supervisor notices.
    """
    need_files(2 * STREAMS + 200)
    valkey.run("FLUSHALL")
    (tmp_path / "crashing.py").write_text(CRASHING)
    provider = {"base_url": simulator.base_url, "allow_private": True, "retries": 0}
    settings = {
        "server": {"workers": WORKERS, "worker_timeout_s": 2},
        "auth": AUTH,
        "ledger": {},
        "stores": {"counters": valkey.url},
        "limits": [{"name": "few", "on": "principal", "concurrent": PLACES}],
        "middleware": [{"use": "crashing:pass_on", "after": "authenticate"}],
    }
    async with gateway_process(tmp_path, {"sim": provider}, settings) as gateway:
        before = gateway.workers
        check_inherited([*before, *gateway.helpers])
        streams = await stream_through_a_hang(gateway, before[1])
        assert len(streams) == STREAMS + WAITING
        asked = {served.ask_name: served for served in map(Named, simulator.journal)}
        lost = [one for one in streams if check_bytes(one, asked[one.name].served)]
        assert 0 < len(lost) < STREAMS

        [hung] = await gateway.wait_for_lines("worker.hung", 1)
        [died] = await gateway.wait_for_lines("worker.died", 1)
        assert (hung["pid"], hung["worker"]) == (before[1], died["worker"])
        assert died["exit_code"] == -signal.SIGKILL
        started = await gateway.wait_for_lines("gateway.started", WORKERS + 1)
        assert sorted(line["worker"] for line in started[:WORKERS]) == list(range(WORKERS))
        assert started[WORKERS]["worker"] == died["worker"]
        await check_lapsing(gateway, valkey, len(lost))
        await gateway.wait_for_lines("ledger.recovered", 1)

        [again] = set(gateway.workers) - set(before)
        await check_pauses(gateway, tmp_path, again)
    await check_books(tmp_path, streams, {one.request_id for one in lost})


def check_inherited(processes: list[int]) -> None:
    """Assert that no process that was started has the credential in its environment (K12)."""
    environments = [Path(f"/proc/{process}/environ").read_bytes() for process in processes]
    assert len(environments) > WORKERS
    assert not any(CREDENTIAL.encode() in one for one in environments)
    assert all(b"PYTHONPATH=" in one for one in environments)  # all else is there


@dataclass
class Named:
    """A request as the simulator has it, and which caller's it is."""

    served: Served

    @property
    def ask_name(self) -> str:
        """What the caller wrote into it."""
        name = json.loads(self.served.body).get("user")
        return str(name)


async def stream_through_a_hang(gateway: GatewayProcess, hanging: int) -> list[Stream]:
    """Let a worker hang under streams, and others wait in its queue; nobody does so for long."""
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(Caller(gateway.port)) for _ in range(STREAMS)]
        for number, caller in enumerate(callers):
            await caller.send(ask(PAUSED, f"stream-{number}"))
        begun = [await caller.read_until(b"word1") for caller in callers]
        os.kill(hanging, signal.SIGSTOP)
        waiting = [await stack.enter_async_context(Caller(gateway.port)) for _ in range(WAITING)]
        for number, caller in enumerate(waiting):
            await caller.send(ask("plain", f"waiting-{number}"))
        answers = [await caller.read_to_end() for caller in waiting]
        assert {(one.status, one.is_whole) for one in answers} == {(200, True)}
        rests = [await caller.read_to_end() for caller in callers]
    streams = [
        Stream(f"stream-{number}", Heard(first + rest.raw))
        for number, (first, rest) in enumerate(zip(begun, rests, strict=True))
    ]
    return streams + [Stream(f"waiting-{number}", one) for number, one in enumerate(answers)]


def check_bytes(stream: Stream, served: Served) -> bool:
    """Assert that a caller got the provider's bytes and no other; whether they were cut short."""
    heard, sent = stream.heard, served.body_sent
    if heard.is_whole:
        assert heard.body == sent
    else:
        assert sent.startswith(heard.body)
        assert b'finish_reason":"' not in heard.body
    return not heard.is_whole


async def check_lapsing(gateway: GatewayProcess, valkey: RedisServer, lost: int) -> None:
    """Assert that places of a dead worker stay taken for their lease, and no longer."""
    # The settlements of those who were spared are told in the background.
    await eventually(lambda: places_taken(valkey) == lost, "the others are settled")
    holds = valkey.run("ZRANGE", HOLDS, 0, -1)
    assert len(holds) == lost
    for hold in holds:  # their time passes
        valkey.run("ZINCRBY", HOLDS, -int(LEASE_S * 1_000_000), hold)

    assert (await answer(gateway)).status == 200

    # A settlement is told in the background.
    await eventually(lambda: not places_taken(valkey), "every place is free")


async def check_pauses(gateway: GatewayProcess, directory: Path, worker: int) -> None:
    """Assert that one that dies again and again pauses for longer, and nobody waits for it."""
    (directory / "crash").touch()
    os.kill(worker, signal.SIGKILL)
    await gateway.wait_for_lines("worker.died", 2)

    answers = await asyncio.gather(*(answer(gateway) for _ in range(10)))

    assert {one.status for one in answers} == {200}
    deaths = await gateway.wait_for_lines("worker.died", 4)
    assert {line["exit_code"] for line in deaths[2:]} == {-signal.SIGSEGV}
    first, second, third = (datetime.fromisoformat(line["timestamp"]) for line in deaths[1:])
    pauses = [
        (later - before).total_seconds() - line["lived_s"]
        for before, later, line in ((first, second, deaths[2]), (second, third, deaths[3]))
    ]
    # On a slow machine the one that was killed had lived for long enough to be replaced at once.
    assert max(0.5, pauses[0]) < pauses[1]
    assert len(gateway.workers) == WORKERS - 1


async def check_books(directory: Path, streams: list[Stream], lost: set[str]) -> None:
    """Assert that every stream is booked once, as it ended."""
    rows: list[dict[str, Any]] = await read_books(f"sqlite:///{directory / 'gateway.db'}")
    ids = {one.request_id for one in streams}
    booked = [(row["request_id"], row["outcome"]) for row in rows if row["request_id"] in ids]

    assert len(booked) == len(ids) == len(streams)
    assert Counter(outcome for _, outcome in booked) == {
        "lost": len(lost),
        "finished": len(ids) - len(lost),
    }
    assert {name for name, outcome in booked if outcome == "lost"} == lost


async def test_a_port_that_somebody_else_takes_is_said_and_taken_again(
    tmp_path: Path, simulator: Simulator
) -> None:
    """K03: while nobody answers it is let go of; whoever looks why finds a reason."""
    (tmp_path / "crashing.py").write_text(CRASHING)
    provider = {"base_url": simulator.base_url, "allow_private": True}
    settings = {
        "server": {"workers": 2},
        "auth": AUTH,
        "middleware": [{"use": "crashing:pass_on", "after": "authenticate"}],
    }
    async with gateway_process(tmp_path, {"sim": provider}, settings) as gateway:
        (tmp_path / "crash").touch()
        for worker in gateway.workers:
            gateway.kill_worker(worker)

        await gateway.wait_for_lines("worker.died", 4)  # again at once, and then not for a while
        with socket.socket() as taken:
            await eventually(lambda: is_bound(taken, gateway.port), "the port is let go of")
            taken.listen()
            line = await gateway.wait_for_line("worker.not_started")
        (tmp_path / "crash").unlink()
        await gateway.wait_for_lines("gateway.started", 4)
        answered = await answer(gateway)

    assert (line["level"], line["worker"] in {0, 1}) == ("error", True)
    assert f"{gateway.port}" in line["reason"]
    assert answered.status == 200


def is_bound(taken: socket.socket, port: int) -> bool:
    """Take a port, unless somebody has it."""
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
