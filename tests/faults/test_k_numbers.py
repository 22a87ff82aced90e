"""Group K, several workers: their numbers are one gateway's, whichever of them is asked.

The rule here: the workers are real processes, and what they show is held against what was asked.
"""

import asyncio
import json
import os
import platform
import re
import resource
import signal
import sys
from pathlib import Path
from typing import cast

import pytest
import yaml

from gateway import __version__
from gateway.core.clock import system_clock
from gateway.simulator import Simulator
from gateway.telemetry.loop_watch import BEAT_S
from tests.faults.test_k_workers import CRASHING
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import AUTH, V1, body_of, raw_request

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are read from /proc"
)

WORKERS = 4
FEW = 3
SOON_S = 10
ASKED = 40
FINISHED = re.compile(r'^gateway_exchanges_total\{.*outcome="finished".*\} (.*)$', re.MULTILINE)


async def ask(gateway: GatewayProcess, count: int) -> None:
    """So many answers, each on a connection of its own, heard to their end."""
    body = json.dumps(body_of(V1, "plain")).encode()
    length = f"Content-Length: {len(body)}"
    request = raw_request(f"POST {V1} HTTP/1.1", length, "Connection: close", body=body)

    async def hear() -> int:
        async with Caller(gateway.port) as caller:
            await caller.send(request)
            return (await caller.read_to_end()).status

    assert {await one for one in asyncio.as_completed([hear() for _ in range(count)])} == {200}


async def scrape(gateway: GatewayProcess) -> str:
    """What Prometheus reads, from whichever worker takes the connection."""
    heard = await gateway.fetch("/metrics")
    assert heard.status == 200
    return heard.body.decode()


async def count_finished(gateway: GatewayProcess) -> float:
    """How many answers there were, as the metrics say."""
    return sum(map(float, FINISHED.findall(await scrape(gateway))))


async def wait_for_finished(gateway: GatewayProcess, count: int) -> None:
    """Ask until all are there: what a worker counted since its last beat, it alone knows."""
    while await count_finished(gateway) < count:
        pass


def workers_in(text: str, metric: str) -> set[str]:
    """The workers that a metric has series of."""
    return set(re.findall(rf'^{metric}\{{.*worker="(\d)".*\}}', text, re.MULTILINE))


async def readiness(gateway: GatewayProcess) -> dict[str, object]:
    """What a load balancer is told."""
    heard = await gateway.fetch("/readyz")
    assert heard.status == 200
    return dict(heard.json)


async def test_a_killed_worker_stays_counted_and_the_others_answer(
    tmp_path: Path, simulator: Simulator
) -> None:
    """K02: sums of four, none of which falls when the one is killed that was first."""
    provider = {"base_url": simulator.base_url, "allow_private": True}
    settings = {"server": {"workers": WORKERS}, "auth": AUTH}
    async with gateway_process(tmp_path, {"sim": provider}, settings) as gateway:
        await ask(gateway, ASKED)
        await gateway.wait_for_settled(ASKED)
        await wait_for_finished(gateway, ASKED)
        assert [await count_finished(gateway) for _ in range(10)] == [ASKED] * 10
        text = await scrape(gateway)
        assert workers_in(text, "process_open_fds") == set("0123")
        assert 'gateway_workers{state="ready"} 4.0' in text
        await check_death(gateway, gateway.workers[0])
        await check_hang(gateway, gateway.workers[0])


async def check_death(gateway: GatewayProcess, worker: int) -> None:
    """Assert that the admin listener does not die with a worker, and no counter falls."""
    os.kill(worker, signal.SIGKILL)
    await gateway.wait_for_lines("worker.died", 1)

    said = await readiness(gateway)
    assert said["status"] == "ready"
    assert await count_finished(gateway) == ASKED
    [died] = gateway.lines("worker.died")
    await gateway.wait_for_lines("gateway.started", WORKERS + 1)
    assert await count_finished(gateway) == ASKED
    text = await scrape(gateway)
    assert f"gateway_worker_starts_total {WORKERS + 1}.0" in text
    assert "gateway_worker_deaths_total 1.0" in text
    assert workers_in(text, "process_open_fds") == set("0123")
    assert (await readiness(gateway))["workers"] == dict.fromkeys("0123", "ready")
    assert died["worker"] in range(WORKERS)

    await ask(gateway, ASKED)
    await gateway.wait_for_settled(2 * ASKED)
    await wait_for_finished(gateway, 2 * ASKED)


async def check_hang(gateway: GatewayProcess, worker: int) -> None:
    """Assert that one that hangs shows, and keeps nobody from looking."""
    os.kill(worker, signal.SIGSTOP)
    try:
        silent: list[float] = []
        while not any(seconds > BEAT_S for seconds in silent):
            text = await scrape(gateway)
            found = re.findall(r"^gateway_worker_silent_seconds\{.*\} (.*)$", text, re.MULTILINE)
            silent = [float(seconds) for seconds in found]
        assert len(silent) == WORKERS
    finally:
        os.kill(worker, signal.SIGCONT)


def count_of(text: str, series: str) -> int:
    """The number that a scrape has of a series; 0 where it has none."""
    found = re.search(rf"^{re.escape(series)} (.*)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


async def test_one_that_dies_again_and_again_before_it_says_a_word_is_counted_and_missed(
    tmp_path: Path, simulator: Simulator
) -> None:
    """K02, K03: nobody comes after it who could tell, and whoever is on call has to know."""
    (tmp_path / "crashing.py").write_text(CRASHING)
    provider = {"base_url": simulator.base_url, "allow_private": True}
    middleware = [{"use": "crashing:pass_on", "after": "authenticate"}]
    settings = {"server": {"workers": FEW}, "auth": AUTH, "middleware": middleware}
    async with gateway_process(tmp_path, {"sim": provider}, settings) as gateway:
        # What a worker has not written yet dies with it.
        await gateway.wait_for_lines("gateway.started", FEW)
        (tmp_path / "crash").touch()
        os.kill(gateway.workers[1], signal.SIGKILL)
        died = await gateway.wait_for_lines("worker.died", 3)
        text, said = await scrape(gateway), await readiness(gateway)
        missing = str(died[0]["worker"])
        states = cast("dict[str, str]", said["workers"])

        assert count_of(text, "gateway_worker_deaths_total") >= 3
        assert (said["status"], sorted(states)) == ("ready", ["0", "1", "2"])
        assert {one for one in states if states[one] != "ready"} == {missing}
        assert states[missing] in {"down", "starting"}
        assert count_of(text, 'gateway_workers{state="ready"}') == FEW - 1
        assert (
            sum(
                count_of(text, f'gateway_workers{{state="{state}"}}')
                for state in ("ready", "down", "starting")
            )
            == FEW
        )

        (tmp_path / "crash").unlink()
        await gateway.wait_for_lines("gateway.started", FEW + 1)
        text, deaths = await scrape(gateway), len(gateway.lines("worker.died"))
        assert count_of(text, "gateway_worker_deaths_total") == deaths
        assert count_of(text, "gateway_worker_starts_total") == FEW + deaths
        assert count_of(text, 'gateway_workers{state="ready"}') == FEW


async def test_lines_of_the_first_process_that_nobody_gets_are_counted(
    tmp_path: Path, simulator: Simulator
) -> None:
    """K02: it logs too, and shows no numbers itself."""
    provider = {"base_url": simulator.base_url, "allow_private": True}
    events = {"worker.died": {"sample": 0}}
    settings = {"server": {"workers": FEW}, "auth": AUTH, "logging": {"events": events}}
    async with gateway_process(tmp_path, {"sim": provider}, settings) as gateway:
        await gateway.wait_for_lines("gateway.started", FEW)
        for worker in gateway.workers[1:]:
            os.kill(worker, signal.SIGKILL)
        await gateway.wait_for_lines("gateway.started", 2 * FEW - 1)

        async with asyncio.timeout(SOON_S):  # it writes down twice a second what it counts
            while count_of(await scrape(gateway), "gateway_log_lines_sampled_total") < FEW - 1:
                pass
        assert not gateway.lines("worker.died")


async def test_a_process_says_of_itself_what_the_kernel_says(
    tmp_path: Path, simulator: Simulator
) -> None:
    """K08: alerts on files that run out, and on restarts, stand on these."""
    provider = {"base_url": simulator.base_url, "allow_private": True}
    before = system_clock()
    async with gateway_process(tmp_path, {"sim": provider}, {"auth": AUTH}) as gateway:
        text = await scrape(gateway)
        after = system_clock()
        files = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)[0]

    labels = f'version="{__version__}",python="{platform.python_version()}"'
    assert value_of(text, "gateway_build_info", labels) == 1
    assert value_of(text, "process_max_fds", 'worker="0"') == files
    # The kernel says it in ticks since the machine was started, which it says in whole seconds.
    started_at = value_of(text, "process_start_time_seconds", 'worker="0"')
    assert before - 1 <= started_at <= after + 1
    assert value_of(text, "process_virtual_memory_bytes", 'worker="0"') > value_of(
        text, "process_resident_memory_bytes", 'worker="0"'
    )


async def test_a_refused_reload_is_seen_until_one_succeeds(
    tmp_path: Path, simulator: Simulator
) -> None:
    """K04: and lines that a setting leaves out are counted from then on."""
    provider = {"base_url": simulator.base_url, "allow_private": True}
    names = (
        "gateway_config_generation",
        "gateway_config_reload_failed",
        "gateway_log_lines_sampled_total",
    )
    sampled = {"events": {"exchange.settled": {"sample": 1e-9}}}
    seen = []
    async with gateway_process(tmp_path, {"sim": provider}, {"auth": AUTH}) as gateway:
        for logging, event in (
            ({}, None),
            ({"level": "loud"}, "config.reload_failed"),
            (sampled, "config.reloaded"),
        ):
            settings = {"auth": AUTH, "logging": logging}
            (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(settings))
            if event is not None:
                os.kill(gateway.pid, signal.SIGHUP)
                await gateway.wait_for_line(event)
            await ask(gateway, FEW)
            text = await scrape(gateway)
            seen.append(tuple(value_of(text, name) for name in names))

    assert seen == [(1, 0, 0), (1, 1, 0), (2, 0, FEW)]


def value_of(text: str, metric: str, labels: str = "") -> float:
    """One number of a scrape."""
    series = re.escape(f"{metric}{{{labels}}}" if labels else metric)
    found = re.search(rf"^{series} (.*)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])
