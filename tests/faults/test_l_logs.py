"""Groups L and K, what concerns the log: its reader, its disk, its floods, and reading it anew.

The rule here: what only a process has (an output, signals, a disk) is tested with a process.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.core.clock import monotonic
from gateway.telemetry.exchange_log import MAX_LINE_BYTES
from gateway.telemetry.storm_guard import LINES_A_SECOND
from tests.faults.conftest import OpenScene
from tests.plugins.authorities import FEW_AUTHORITIES
from tests.plugins.declared import refuse_undeclared
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import CHAT, PROMPT, V1, error_of

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 20
LEAST_BUFFER = 65_536
PIPE_BYTES = 65_536
GET = b"GET /api/keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SABOTAGED = ("Connection: close", "X-Sabotage: yes")
DEMO = {"demo": {"base_url": "simulator:", "auth": {"required": False}}}


class Logging:
    """A gateway whose standard output is somebody's."""

    def __init__(self, running: asyncio.subprocess.Process, directory: Path, port: int) -> None:
        self.running = running
        self.port = port
        self._directory = directory

    async def ask(self, count: int) -> None:
        """So many requests, which are all answered."""
        async with Caller(self.port) as caller:
            for _ in range(count):
                await caller.send(GET)
                assert (await caller.read_answer()).status == 200

    def write(self, settings: dict[str, Any]) -> None:
        """Put these settings into the file."""
        (self._directory / "gateway.yaml").write_text(yaml.safe_dump(settings))

    def reload(self) -> None:
        """Have it read the file."""
        self.running.send_signal(signal.SIGHUP)

    async def stop(self) -> float:
        """End it; how many seconds that took."""
        began_at = monotonic()
        self.running.terminate()
        async with asyncio.timeout(TIMEOUT_S):
            assert await self.running.wait() == 0
        return monotonic() - began_at


@contextlib.asynccontextmanager
async def logging_to(
    output: int, directory: Path, settings: dict[str, Any], *options: str
) -> AsyncIterator[Logging]:
    """A gateway that logs there; what it prints on standard error is for people."""
    (directory / "providers.yaml").write_text(yaml.safe_dump({"providers": DEMO}))
    (directory / "gateway.yaml").write_text(yaml.safe_dump(settings))
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", "gateway.yaml"),
        *("--port", "0", "--admin-port", "0", *options),
        cwd=directory,
        env={**FEW_AUTHORITIES, "PYTHONPATH": str(ROOT)},
        stdout=output,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            first = (await running.stderr.readline()).decode()
        assert first.startswith("listening"), first
        yield Logging(running, directory, int(first.rpartition(":")[2]))
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a file or process of somebody else's is as it should be."""
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log, all of them declared."""
    lines = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    refuse_undeclared(lines)
    return lines


def events_of(path: Path, event: str) -> list[dict[str, Any]]:
    """Those of one event."""
    return [line for line in lines_of(path) if line["event"] == event]


@contextlib.asynccontextmanager
async def consumer_of(reader: int, path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that reads a log and keeps it."""
    with path.open("wb") as log:
        consumer = await asyncio.create_subprocess_exec("cat", stdin=reader, stdout=log)
    os.close(reader)
    try:
        yield consumer
    finally:
        consumer.kill()
        await consumer.wait()


async def test_a_reader_who_has_stopped_holds_up_nobody(tmp_path: Path) -> None:
    """Issue: log consumer stopped. Requests go on, what is missing is said, and the end comes."""
    reader, writer = os.pipe()
    settings = {"logging": {"buffer_bytes": LEAST_BUFFER}}

    def written_and_dropped() -> tuple[int, int]:
        said = events_of(tmp_path / "log", "log.lines_dropped")  # once for each time
        settled = events_of(tmp_path / "log", "exchange.settled")
        return len(settled), sum(line["count"] for line in said)

    async with (
        consumer_of(reader, tmp_path / "log") as consumer,
        logging_to(writer, tmp_path, settings) as gateway,
    ):
        os.close(writer)
        consumer.send_signal(signal.SIGSTOP)
        await gateway.ask(350)
        consumer.send_signal(signal.SIGCONT)
        await until(lambda: sum(written_and_dropped()) == 350)
        _, dropped = written_and_dropped()
        consumer.send_signal(signal.SIGSTOP)
        await gateway.ask(120)
        took_s = await gateway.stop()

    assert dropped > 20
    assert took_s < 15


async def test_a_full_disk_costs_no_request_and_no_line(tmp_path: Path) -> None:
    """Issue: disk full. What waits is written when there is room, the half line first."""
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with logging_to(log, tmp_path, {}) as gateway:
        os.close(log)
        await gateway.ask(1)
        await until(lambda: bool(events_of(tmp_path / "log", "exchange.settled")))
        limits = resource.prlimit(gateway.running.pid, resource.RLIMIT_FSIZE)
        full = (tmp_path / "log").stat().st_size + 100
        resource.prlimit(gateway.running.pid, resource.RLIMIT_FSIZE, (full, limits[1]))
        await gateway.ask(20)
        await until(lambda: (tmp_path / "log").stat().st_size == full)
        await gateway.ask(1)
        resource.prlimit(gateway.running.pid, resource.RLIMIT_FSIZE, limits)
        await gateway.stop()

    assert len(events_of(tmp_path / "log", "exchange.settled")) == 22
    assert events_of(tmp_path / "log", "log.lines_dropped") == []


async def test_every_worker_reads_its_settings_anew(tmp_path: Path) -> None:
    """K04: one line says what came of it, and a mistake or another block changes nothing."""
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with logging_to(log, tmp_path, {}, "--workers", "2") as gateway:
        os.close(log)
        gateway.write({"logging": {"level": "loud"}})
        gateway.reload()
        await until(lambda: bool(events_of(tmp_path / "log", "config.reload_failed")))
        await gateway.ask(1)
        await until(lambda: bool(events_of(tmp_path / "log", "exchange.settled")))
        quiet = {
            "logging": {
                "events": {"exchange.settled": {"level": "debug"}},
                "content": {"to": "said", "principals": ["local"]},
            },
            "server": {"drain_s": 3},
        }
        gateway.write(quiet)
        gateway.reload()
        await until(lambda: bool(events_of(tmp_path / "log", "config.needs_restart")))
        # Every worker opens the file for what is said when it has read the settings.
        await until(lambda: open_files(gateway.running.pid, "said") == 2)
        before = len(events_of(tmp_path / "log", "exchange.settled"))
        await asyncio.gather(*(gateway.ask(2) for _ in range(8)))
        await gateway.stop()

    [failed] = events_of(tmp_path / "log", "config.reload_failed")
    [reloaded] = events_of(tmp_path / "log", "config.reloaded")
    [waiting] = events_of(tmp_path / "log", "config.needs_restart")
    assert failed["problem"].startswith("gateway.yaml:2:10: logging.level: needs to be one of")
    assert (reloaded["generation"], reloaded["settings"]) == (
        2,
        ["logging.events", "logging.content"],
    )
    assert waiting["settings"] == ["server.drain_s"]
    assert len(events_of(tmp_path / "log", "exchange.settled")) == before
    assert len(events_of(tmp_path / "log", "gateway.stopped")) == 2


def open_files(supervisor: int, name: str) -> int:
    """How many workers have a file of this name open."""
    count = 0
    for task in Path(f"/proc/{supervisor}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                links = [str(one.readlink()) for one in Path(f"/proc/{child}/fd").iterdir()]
                count += any(link.endswith(f"/{name}") for link in links)
    return count


async def test_a_flood_of_one_mistake_is_summed_up(open_scene: OpenScene) -> None:
    """L05: a thousand crashes are a thousand lines of exchanges, and a few with a traceback."""
    crash = {"use": "tests.plugins.saboteurs:return_nothing", "after": "check_key"}
    scene = await open_scene(settings={"middleware": [crash]})
    scene.gateway.allowed_words = ("Traceback", "middleware.failed")
    count = 60

    for _ in range(count):
        heard = await scene.ask("plain", stream=False, headers=SABOTAGED)
        assert error_of(heard) == (500, "plugin_error")

    lines = scene.gateway.log.lines
    written = scene.gateway.log.getvalue()
    crashed = [line for line in lines if line["event"] == "middleware.failed"]
    assert len([line for line in lines if line["event"] == "exchange.settled"]) == count
    assert LINES_A_SECOND <= len(crashed) < count
    assert scene.gateway.pipeline.numbers.withheld == count - len(crashed)
    assert len(written) <= count * MAX_LINE_BYTES


async def test_what_was_raised_stands_in_the_log_alone(open_scene: OpenScene) -> None:
    """L07: there is no switch that shows it to callers; they get the request's id."""
    crash = {"use": "tests.plugins.saboteurs:return_nothing", "after": "check_key"}
    scene = await open_scene(settings={"middleware": [crash], "logging": {"level": "debug"}})
    scene.gateway.allowed_words = ("Traceback", "middleware.failed")

    heard = await scene.ask("plain", stream=False, headers=SABOTAGED)

    [line] = [line for line in scene.gateway.log.lines if line["event"] == "middleware.failed"]
    assert error_of(heard) == (500, "plugin_error")
    assert "TypeError" in line["exception"]
    assert b"TypeError" not in heard.raw
    assert b"NoneType" not in heard.raw
    assert line["request_id"].encode() in heard.raw


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_what_is_said_is_logged_where_that_was_switched_on(
    open_scene: OpenScene, path: str
) -> None:
    """L04: for those who are named, beside the log and not in it, without credentials."""
    said = {"to": "said.log", "principals": ["alice"], "max_bytes": 500}
    scene = await open_scene(settings={"logging": {"content": said}})
    scene.gateway.secrets.remove(PROMPT)  # it is to stand there
    pasted = f"{PROMPT}, with {CREDENTIAL} and sk-proj-CanaryCanaryCanary"
    fields = {"messages": [{"role": "user", "content": pasted}]}

    heard: Heard = await scene.ask("plain", path, **fields)
    await scene.settled()
    scene.gateway.pipeline.content.close(TIMEOUT_S)

    [line] = [
        json.loads(text) for text in (scene.gateway.directory / "said.log").read_text().splitlines()
    ]
    assert line["answer"].startswith("This is a simulated answer.")
    assert line["prompt"].startswith(f"user: {PROMPT}, with …")
    assert "CanaryCanary" not in line["prompt"]
    assert (line["principal"], line["outcome"], line["is_cut"]) == ("alice", "finished", False)
    assert PROMPT not in scene.gateway.log.getvalue()
    assert heard.is_whole


async def test_an_answer_that_is_not_streamed_is_heard_as_well(open_scene: OpenScene) -> None:
    """L04: and by default nothing is."""
    said = {"to": "said.log", "principals": "all", "max_bytes": 10}
    scene = await open_scene(settings={"logging": {"content": said}})
    scene.gateway.secrets.remove(PROMPT)

    await scene.ask("plain", stream=False)
    await scene.settled()
    scene.gateway.pipeline.content.close(TIMEOUT_S)
    await scene.ask("plain", stream=False)  # it is off from here on

    [text] = (scene.gateway.directory / "said.log").read_text().splitlines()
    assert json.loads(text)["answer"] == "This is a …"
    assert json.loads(text)["is_cut"]
