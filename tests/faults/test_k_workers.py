"""Group K, several workers: what one of them dies of is no other one's business.

The rule here: the workers are real processes behind one port, and the counters are in a real Redis.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.simulator import Simulator
from gateway.stores.counters import LEASE_S
from gateway.stores.redis_counters import HOLDS
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.raw_caller import LAST_CHUNK, Caller, Heard
from tests.plugins.redis_server import RedisServer
from tests.plugins.scene import AUTH, DONE, V1, body_of, eventually, raw_request

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are read from /proc"
)

STREAMS = 16
PAUSED = {"count": 6, "stall": {"after_tokens": 2, "for_s": 2.0}}


def ask(directive: object) -> bytes:
    """A whole request that ends its connection."""
    body = json.dumps(body_of(V1, directive)).encode()
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
    """K02, K03, K11, I04: others' streams go on, its places lapse, and another takes its place."""
    valkey.run("FLUSHALL")
    provider = {"base_url": simulator.base_url, "allow_private": True}
    settings = {
        "server": {"workers": 2},
        "auth": AUTH,
        "stores": {"counters": valkey.url},
        "limits": [{"name": "few", "on": "principal", "concurrent": STREAMS}],
    }
    async with gateway_process(tmp_path, {"sim": provider}, settings) as gateway:
        killed, spared = gateway.workers
        async with AsyncExitStack() as stack:
            callers = [
                await stack.enter_async_context(Caller(gateway.port)) for _ in range(STREAMS)
            ]
            for caller in callers:
                await stack.enter_async_context(caller)
                await caller.send(ask(PAUSED))
            for caller in callers:
                await caller.read_until(b"word1")
            assert places_taken(valkey) == STREAMS
            assert (await answer(gateway)).status == 429
            os.kill(killed, signal.SIGKILL)
            rests = [(await caller.read_to_end()).raw for caller in callers]

        whole = [rest for rest in rests if DONE in rest and rest.endswith(LAST_CHUNK)]
        cut = [rest for rest in rests if DONE not in rest]
        assert len(whole) + len(cut) == STREAMS
        assert whole
        assert cut
        [died] = await gateway.wait_for_lines("worker.died", 1)
        assert died["exit_code"] == -signal.SIGKILL
        started = await gateway.wait_for_lines("gateway.started", 3)
        assert [line["worker"] for line in started] == [0, 1, died["worker"]]
        await check_lapsing(gateway, valkey, len(cut))

        [again] = set(gateway.workers) - {spared}
        await check_pause(gateway, again)


async def check_pause(gateway: GatewayProcess, worker: int) -> None:
    """Assert that nobody waits for a worker that dies again and again."""
    os.kill(worker, signal.SIGKILL)
    await gateway.wait_for_lines("worker.died", 2)

    answers = await asyncio.gather(*(answer(gateway) for _ in range(10)))

    assert {one.status for one in answers} == {200}
    await gateway.wait_for_lines("gateway.started", 4)


async def check_lapsing(gateway: GatewayProcess, valkey: RedisServer, lost: int) -> None:
    """Assert that places of a dead worker stay taken for their lease, and no longer."""
    # The settlements of those who were spared are told in the background.
    await eventually(lambda: places_taken(valkey) == lost, "the others are settled")
    holds = valkey.run("ZRANGE", HOLDS, 0, -1)
    assert len(holds) == lost
    for hold in holds:  # their time passes
        valkey.run("ZINCRBY", HOLDS, -int(LEASE_S * 1_000_000), hold)

    assert (await answer(gateway)).status == 200

    await gateway.wait_for_settled(STREAMS - lost + 2)
    # A settlement is told in the background.
    await eventually(lambda: not places_taken(valkey), "every place is free")
