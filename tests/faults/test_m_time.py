"""Group M, time: clocks that jump, and a process that gets no time.

The rule here: the gateways are processes of their own, and what happens to their time is real.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.ledgers import read_books
from tests.plugins.programs import find_program, refuse
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.redis_server import RedisServer
from tests.plugins.scene import AUTH, DONE, V1, body_of, header_of, raw_request

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are read from /proc"
)

STREAMS = 40
IDLE_S = 0.5
FLOWING: dict[str, Any] = {"count": 8, "gap_s": 0.2}  # longer than anybody may be silent
STALLED: dict[str, Any] = {"count": 5, "stall": {"after_tokens": 2}}
TEN_DAYS_S = 864_000
PER_MINUTE = 3
FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


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


def entry(simulator: Simulator, **timeouts: float) -> dict[str, Any]:
    """The provider in the registry, which is asked once."""
    return {
        "base_url": simulator.base_url,
        "allow_private": True,
        "retries": 0,
        "timeouts": timeouts,
    }


async def test_after_a_suspension_nothing_is_taken_for_silent(
    tmp_path: Path, simulator: Simulator
) -> None:
    """M08, M10: frozen for longer than a provider may be silent; what it sent meanwhile counts.

    And so does what a caller has sent who had connected before. Who was late themselves looks once
    more, and not for ever: a provider that is silent all the same is left.
    """
    settings = {"auth": AUTH, "server": {"head_timeout_s": IDLE_S}}
    providers = {"sim": entry(simulator, idle_s=IDLE_S, first_content_s=IDLE_S)}
    async with (
        gateway_process(tmp_path, providers, settings) as gateway,
        AsyncExitStack() as stack,
    ):
        callers = [await stack.enter_async_context(Caller(gateway.port)) for _ in range(STREAMS)]
        for caller in callers:
            await caller.send(ask(FLOWING))
        for caller in callers:
            await caller.read_until(b"word1")
        early = await stack.enter_async_context(Caller(gateway.port))
        os.kill(gateway.pid, signal.SIGSTOP)
        await early.send(ask("plain"))
        for served in list(simulator.journal):
            await served.done.wait()  # all of it is in the kernel's buffers now
        os.kill(gateway.pid, signal.SIGCONT)
        rests = [await caller.read_to_end() for caller in callers]
        heard = await early.read_to_end()
        lines = list(await gateway.wait_for_settled(STREAMS + 1))
        silent = await hear_silence(gateway)

    assert (silent["outcome"], silent["error_code"]) == ("upstream_failed", "upstream_idle_timeout")
    assert all(DONE in rest.raw for rest in rests)
    assert (heard.status, heard.is_whole) == (200, True)
    assert {line["outcome"] for line in lines} == {"finished"}


async def hear_silence(gateway: GatewayProcess) -> dict[str, Any]:
    """The line of an exchange whose provider says nothing while the gateway is frozen, nor then."""
    count = len(gateway.settled)
    async with Caller(gateway.port) as caller:
        await caller.send(ask(STALLED))
        await caller.read_until(b"word1")
        os.kill(gateway.pid, signal.SIGSTOP)
        await asyncio.sleep(2 * IDLE_S)  # the fault
        os.kill(gateway.pid, signal.SIGCONT)
        await caller.read_to_end()
        return (await gateway.wait_for_settled(count + 1))[count]


async def test_a_clock_that_begins_anew_confuses_no_books(
    tmp_path: Path, simulator: Simulator
) -> None:
    """M08: what a machine has left that was up for ten days is settled by one that has started."""
    command = time_namespace(TEN_DAYS_S)
    settings = {"auth": AUTH, "ledger": {}}
    providers = {"sim": entry(simulator)}
    async with AsyncExitStack() as callers:
        async with gateway_process(tmp_path, providers, settings, command=command) as gateway:
            caller = await callers.enter_async_context(Caller(gateway.port))
            await caller.send(ask(STALLED))
            await caller.read_until(b"word1")
            assert (await answer(gateway)).status == 200
            await gateway.wait_for_settled(1)
            await gateway.kill()
        async with gateway_process(tmp_path, providers, settings) as gateway:
            await gateway.wait_for_line("ledger.recovered")

    rows = await read_books(f"sqlite:///{tmp_path / 'gateway.db'}")
    assert sorted(row["outcome"] for row in rows) == ["finished", "lost"]
    assert all(0 <= row["duration_ms"] < 60_000 for row in rows)
    assert abs(rows[0]["started_at_ms"] - rows[1]["started_at_ms"]) < 60_000


def time_namespace(offset_s: int) -> tuple[str, ...]:
    """What runs a command on a machine that has been up for so much longer."""
    unshare = find_program("unshare", install="apt install util-linux", part="namespaces")
    offsets = (f"--monotonic={offset_s}", f"--boottime={offset_s}")
    if os.geteuid() != 0:
        refuse("namespaces", "a time namespace needs root")
    return (str(unshare), "--time", *offsets)


async def test_a_clock_that_is_wrong_changes_no_limit(
    tmp_path: Path, simulator: Simulator, valkey: RedisServer
) -> None:
    """M07, M09: two gateways five minutes apart share a limit; an hour back locks nobody out."""
    valkey.run("FLUSHALL")
    settings = {
        "auth": AUTH,
        "ledger": {},
        "stores": {"counters": valkey.url},
        "limits": [{"name": "few", "on": "principal", "requests_per_minute": PER_MINUTE}],
    }
    providers = {"sim": entry(simulator)}
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    clock = wrong / "clock"
    clock.write_text("+300")
    async with (
        gateway_process(right, providers, settings) as first,
        gateway_process(wrong, providers, settings, command=moved_clock(clock)) as second,
    ):
        statuses = [(await answer(one)).status for one in (first, second, first, second, first)]
        clock.write_text("-3600")
        late = await answer(second)
        forget(valkey)  # a minute passes
        again = [(await answer(one)).status for one in (second, second, first, first)]

    assert statuses == [200] * PER_MINUTE + [429, 429]
    assert late.status == 429
    assert 0 < int(header_of(late, "retry-after") or 0) <= 60
    assert again == [200] * PER_MINUTE + [429]
    rows = await read_books(f"sqlite:///{wrong / 'gateway.db'}")
    began = sorted(row["started_at_ms"] for row in rows)
    assert began[-1] - began[0] > 3_600_000  # what its clock said, each time
    assert all(0 <= row["duration_ms"] < 10_000 for row in rows)


def moved_clock(file: Path) -> tuple[str, ...]:
    """What runs a command with a time of day that a file moves; durations stay true."""
    find_program("faketime", install="apt install faketime")
    (library, *_) = Path("/").glob(FAKETIME.removeprefix("/"))
    env = shutil.which("env")
    assert env is not None
    return (
        env,
        f"LD_PRELOAD={library}",
        f"FAKETIME_TIMESTAMP_FILE={file}",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    )


def forget(valkey: RedisServer) -> None:
    """Let the counters be as they are when nobody has asked for a while."""
    valkey.run("FLUSHALL")
