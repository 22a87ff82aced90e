"""Several workers, as one program; what a crash costs is in tests/faults/test_k_workers.py."""

import contextlib
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.test_serve import CREDENTIAL, PROVIDERS, START_S, read_banner, started

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are read from /proc"
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A working directory with a registry."""
    (tmp_path / "providers.yaml").write_text(PROVIDERS)
    return tmp_path


def children_of(running: subprocess.Popen[str]) -> list[int]:
    """The processes that it has started."""
    return [
        int(child)
        for task in Path(f"/proc/{running.pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def wait_for_start(running: subprocess.Popen[str], count: int = 2) -> None:
    """Read its log until so many workers have said that they listen."""
    assert running.stdout is not None
    while count:
        count -= "gateway.started" in running.stdout.readline()


def kill_all_workers(running: subprocess.Popen[str]) -> None:
    """Kill two workers at once, as when memory runs out, and wait until others have their places.

    So one moment there was nobody, which is not the end.
    """
    wait_for_start(running)  # what is not written yet dies with them
    for child in children_of(running):
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
    wait_for_start(running)


@pytest.mark.usefixtures("curl_path")
def test_a_signal_to_all_is_heard_once_and_answers_are_finished(directory: Path) -> None:
    """K01: terminals and systemd send it to every process; a second one would cut answers off."""
    with started(directory, "--workers", "2", start_new_session=True) as running:
        lines = read_banner(running)
        kill_all_workers(running)
        command = [*shlex.split(lines[-1]), "-sS"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
            assert asking.stdout is not None
            first = asking.stdout.read(1)
            workers = children_of(running)
            os.killpg(running.pid, signal.SIGINT)
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):  # one that answered nobody
                    os.kill(worker, signal.SIGTERM)
            rest = asking.stdout.read()
        out, err = running.communicate(timeout=START_S)

    assert (first + rest).startswith("Hello!")
    assert (asking.returncode, running.returncode, err) == (0, 0, "")
    assert out.count("gateway.stopped") == 2


def test_workers_end_with_their_supervisor(directory: Path) -> None:
    """K02: killed, it cannot tell them; a port that stays taken is found at the next start."""
    with started(directory, "--workers", "2") as running:
        read_banner(running)
        children = children_of(running)
        commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
        watched = [os.pidfd_open(child) for child in children]
        running.kill()
        out, _ = running.communicate(timeout=START_S)  # until the last one has closed it

    assert len(children) >= 2
    assert CREDENTIAL.encode() not in b"".join(commands)  # L01: anybody reads the list of processes
    assert out.count("gateway.stopped") == 2
    for file in watched:
        os.close(file)


def test_what_one_worker_cannot_do_is_said_once(directory: Path) -> None:
    """K03: a start that fails is no start that is tried for ever."""
    (directory / "gateway.yaml").write_text(
        'stores: {counters: "redis://:${DB_PASSWORD}@127.0.0.1:1"}\n'
        "limits: [{name: few, on: principal, concurrent: 3}]\n"
    )
    with started(directory, "--workers", "3") as running:
        out, err = running.communicate(timeout=START_S)

    assert running.returncode == 1
    assert err.count("The gateway did not start.") == 1
    assert "redis://127.0.0.1:1/0 does not answer" in err
    assert "canary" not in out + err


# Whoever imports this in a worker ends as of a broken extension module, or of a library that exits.
ENDING = """
import multiprocessing, os, signal

if multiprocessing.parent_process() is not None:
    {end}
"""


@pytest.mark.parametrize(
    ("end", "way", "exit_code"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV", -11),
        ("os._exit(7)", "ended with exit code 7", 7),
    ],
)
def test_a_worker_that_ends_without_a_word_is_spoken_of(
    directory: Path, end: str, way: str, exit_code: int
) -> None:
    """K03: exit code 1 and two empty files tell an operator nothing."""
    (directory / "ending.py").write_text(ENDING.format(end=end))
    (directory / "gateway.yaml").write_text(
        'middleware: [{use: "ending:nothing", after: authenticate}]\n'
    )
    with started(directory, "--workers", "2") as running:
        out, err = running.communicate(timeout=START_S)

    assert err == f"The gateway did not start. Worker 0 {way} while it started.\n"
    assert running.returncode == 1
    [died] = [json.loads(line) for line in out.splitlines()]
    assert (died["event"], died["worker"], died["exit_code"]) == ("worker.died", 0, exit_code)


# A worker that imports this waits there until the gate is opened; then it ends, the first time.
GATED = """
import multiprocessing, os, signal
from pathlib import Path
from typing import Any
from aiohttp import web

gate = Path("gate")
if multiprocessing.current_process().name == "gateway-worker-1" and gate.exists():
    gate.read_bytes()
    gate.unlink()
    {end}


@web.middleware
async def pass_on(request, handler):
    return await handler(request)
"""
STREAM = {
    "model": "demo/demo",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
    "simulate": {"count": 6, "stall": {"after_tokens": 2, "for_s": 2.0}},
}


def prepare_gate(directory: Path, end: str) -> Path:
    """Have the second worker wait while it starts; opening what is returned for writing ends it."""
    gate = directory / "gate"
    os.mkfifo(gate)
    (directory / "gated.py").write_text(GATED.format(end=end))
    (directory / "gateway.yaml").write_text(
        'server: {drain_s: 0.1}\nmiddleware: [{use: "gated:pass_on", after: authenticate}]\n'
    )
    return gate


def wait_for_line(running: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """Read its log up to the next line of an event."""
    assert running.stdout is not None
    for line in running.stdout:
        if event in line:
            found: dict[str, Any] = json.loads(line)
            return found
    raise AssertionError(f"no {event}: {running.communicate()}")


def test_one_that_dies_while_the_gateway_starts_takes_nothing_with_it(directory: Path) -> None:
    """K02, K03: the first worker answers by then, and its streams are no business of the others."""
    gate = prepare_gate(directory, "os.kill(os.getpid(), signal.SIGKILL)")
    with started(directory, "--workers", "2") as running:
        first = wait_for_line(running, "gateway.started")
        calling = http.client.HTTPConnection(first["url"].removeprefix("http://"), timeout=START_S)
        calling.request("POST", "/v1/chat/completions", json.dumps(STREAM))
        answer = calling.getresponse()
        begun = answer.readline()

        gate.write_bytes(b"")
        died = wait_for_line(running, "worker.died")
        rest = answer.read()
        calling.close()
        second = wait_for_line(running, "gateway.started")
        read_banner(running)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=START_S)

    assert (died["worker"], died["exit_code"]) == (1, -signal.SIGKILL)
    assert begun.startswith(b"data: ")
    assert b"server_shutdown" not in rest
    assert rest.endswith(b"data: [DONE]\n\n")
    assert (first["worker"], second["worker"]) == (0, 1)
    assert (running.returncode, err) == (0, "")


def test_workers_that_drain_go_on_when_their_supervisor_is_killed(directory: Path) -> None:
    """K02: its end is no word to hasten, as a second signal is."""
    with started(directory, "--workers", "2") as running:
        first = wait_for_line(running, "gateway.started")
        read_banner(running)
        calling = http.client.HTTPConnection(first["url"].removeprefix("http://"), timeout=START_S)
        calling.request("POST", "/v1/chat/completions", json.dumps(STREAM))
        answer = calling.getresponse()
        begun = answer.readline()

        running.send_signal(signal.SIGTERM)
        while not wait_for_line(running, "gateway.draining")["in_flight"]:
            pass
        running.kill()
        rest = answer.read()
        calling.close()
        running.communicate(timeout=START_S)

    assert begun.startswith(b"data: ")
    assert b"server_shutdown" not in rest
    assert rest.endswith(b"data: [DONE]\n\n")


def test_what_a_later_worker_cannot_do_stops_the_start_as_well(directory: Path) -> None:
    """K03: it was said, and concerns all: nobody is to run with a part of what was asked for."""
    gate = prepare_gate(directory, "raise RuntimeError('no licence')")
    with started(directory, "--workers", "2") as running:
        wait_for_line(running, "gateway.started")
        gate.write_bytes(b"")
        out, err = running.communicate(timeout=START_S)

    assert running.returncode == 1
    assert err.count("The gateway did not start.") == err.count("no licence") == 1
    assert "worker.died" not in out
