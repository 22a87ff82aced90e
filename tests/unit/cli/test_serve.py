"""`gateway serve`, as a program: how it starts, refuses to start, and stops."""

import contextlib
import json
import os
import pty
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.stores.tables import SCHEMA
from tests.plugins.authorities import FEW_AUTHORITIES

ROOT = Path(__file__).parents[3]
PROVIDERS = """
providers:
  demo: {base_url: "simulator:", auth: {required: false}, default_model: demo}
  groq: {base_url: "https://api.groq.com/openai/v1"}
"""
CREDENTIAL = "gsk_CanaryCanaryCanary0001"
PASSWORD = "canary-password"
START_S = 20


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A working directory with a registry."""
    (tmp_path / "providers.yaml").write_text(PROVIDERS)
    return tmp_path


@contextlib.contextmanager
def started(
    directory: Path, *options: str, start_new_session: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A gateway on free ports; killed if the test leaves it running."""
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--admin-port", "0"]
    with subprocess.Popen(
        [*command, *options],
        cwd=directory,
        env={
            **FEW_AUTHORITIES,
            "PYTHONPATH": str(ROOT),
            "GROQ_API_KEY": CREDENTIAL,
            "DB_PASSWORD": PASSWORD,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_banner(running: subprocess.Popen[str]) -> list[str]:
    """What it prints for people, beside its log."""
    assert running.stderr is not None
    lines = []
    for line in running.stderr:
        lines.append(line.rstrip("\n"))
        if line.startswith("curl"):
            break
    return lines


def refuse(directory: Path, *options: str) -> str:
    """What it says when it does not start."""
    with started(directory, *options) as running:
        out, err = running.communicate(timeout=START_S)
    assert (running.returncode, out) == (1, "")
    assert "Traceback" not in err
    return err


@pytest.mark.usefixtures("curl_path")
def test_it_serves_until_it_is_told_to_stop(directory: Path) -> None:
    """The printed line works when it is pasted, and the end is exit code 0."""
    with started(directory) as running:
        lines = read_banner(running)
        asked = subprocess.run(
            [*shlex.split(lines[-1]), "-sS"], capture_output=True, text=True, check=True
        )
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=START_S)

    assert asked.stdout.startswith("Hello!")
    assert (running.returncode, err) == (0, "")
    assert "credentials  groq" in lines
    assert CREDENTIAL not in "".join(lines) + out
    assert [json.loads(line)["event"] for line in out.splitlines()] == [
        "gateway.started",
        "exchange.settled",
        "gateway.draining",
        "gateway.stopped",
    ]


def test_a_reload_before_it_listens_waits(directory: Path) -> None:
    """K04: who rotates logs sends SIGHUP to all that run, and it ended one that was starting."""
    config = directory / "pipe.yaml"
    os.mkfifo(config)

    with started(directory, "--config", str(config)) as running:
        with config.open("w") as opened:  # by the gateway as well: it reads its settings
            running.send_signal(signal.SIGHUP)
            opened.write("logging: {level: info}\n")
        lines = read_banner(running)
        assert running.stdout is not None
        heard: set[str] = set()
        while not heard >= {"config.reload_failed", "gateway.started"}:  # a pipe is read once
            heard.add(json.loads(running.stdout.readline())["event"])
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=START_S)

    assert running.returncode == 0
    assert lines


def test_a_reload_waits_from_the_first_import_on(directory: Path) -> None:
    """K04: what `serve` imports takes a second on a busy machine, and ended meanwhile."""
    sends = "import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\nraise SystemExit(0)\n"
    (directory / "structlog.py").write_text(sends)  # found first, before the package

    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve"],
        cwd=directory,
        env={"PYTHONPATH": f"{directory}{os.pathsep}{ROOT}"},
        stdin=subprocess.DEVNULL,
        check=False,
    )

    assert done.returncode == 0


@pytest.mark.usefixtures("curl_path")
def test_a_second_signal_hastens(directory: Path) -> None:
    """Whoever presses Ctrl-C twice means it."""
    with started(directory) as running:
        lines = read_banner(running)
        with subprocess.Popen(
            [*shlex.split(lines[-1]), "-sS"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as asking:
            assert asking.stdout is not None
            asking.stdout.read(1)
            running.send_signal(signal.SIGINT)
            assert running.stdout is not None
            for line in running.stdout:
                if "gateway.draining" in line:
                    break
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=START_S)

    assert running.returncode == 0
    assert asking.returncode != 0  # cut, not ended


def test_every_mistake_of_both_files_is_told(directory: Path) -> None:
    """One start for each mistake would be one too many."""
    (directory / "providers.yaml").write_text("providers: {a: {base_url: 'ftp://x'}}\n")
    (directory / "gateway.yaml").write_text("server: {prt: 1}\n")

    err = refuse(directory)

    assert "gateway.yaml:1:10: server.prt" in err
    assert "providers.yaml:1:" in err


def test_strangers_are_not_given_the_credentials(directory: Path) -> None:
    """A listener that others reach, and nothing says who may call."""
    err = refuse(directory, "--host", "0.0.0.0")

    assert "groq" in err
    assert "auth: [{kind: anonymous, requests_per_minute: 60, concurrent: 10}]" in err
    assert CREDENTIAL not in err


def test_a_database_of_another_version_stops_the_start(directory: Path) -> None:
    """Keys would fail one by one, in whichever way the tables differ (J15)."""
    (directory / "gateway.yaml").write_text("auth: [{kind: gateway_key}]\n")
    connection = sqlite3.connect(directory / "gateway.db", isolation_level=None)
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()

    err = refuse(directory)

    assert f"has schema 9999, newer than the {SCHEMA} of this gateway" in err
    assert "gateway db upgrade" in err


def test_a_server_that_is_not_there_stops_the_start(directory: Path) -> None:
    """Its password is in no message (J07)."""
    (directory / "gateway.yaml").write_text(
        'auth: [{kind: gateway_key}]\nstores: {database: "postgresql://gw:${DB_PASSWORD}@127.0.0.1:1/x"}\n'
    )

    err = refuse(directory)

    assert "postgresql://127.0.0.1:1/x: " in err
    assert PASSWORD not in err


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_in_use_is_said_plainly(directory: Path, option: str) -> None:
    """On either listener."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])

        err = refuse(directory, option, port)

    assert f"127.0.0.1:{port}: another program listens there" in err


def test_one_port_for_both_listeners_is_said_to_be_that(directory: Path) -> None:
    """There is no other program that could be stopped."""
    err = refuse(directory, "--port", "9090", "--admin-port", "9090")

    assert "server.port and admin.port are both 9090" in err
    assert "another program" not in err


@pytest.mark.usefixtures("curl_path")
def test_a_middleware_is_found_beside_its_settings(directory: Path) -> None:
    """Wherever the command is run from."""
    elsewhere = directory / "etc"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text(
        "from aiohttp import web\n\n@web.middleware\nasync def stamp(request, handler):\n"
        "    response = await handler(request)\n    response.headers['X-Mine'] = '1'\n"
        "    return response\n"
    )
    settings = elsewhere / "gateway.yaml"
    settings.write_text("middleware: [{use: 'mine:stamp', after: authenticate}]\n")

    with started(directory, "--config", str(settings)) as running:
        [url] = [line.split()[-1] for line in read_banner(running) if line.startswith("listening")]
        asked = subprocess.run(
            ["curl", "-sSi", f"{url}/api/keys"], capture_output=True, text=True, check=True
        )
        running.terminate()
        running.communicate(timeout=START_S)

    assert "X-Mine: 1" in asked.stdout


def test_a_middleware_that_is_not_there_stops_the_start(directory: Path) -> None:
    """It may be the one that checks something."""
    (directory / "gateway.yaml").write_text(
        "middleware: [{use: 'nowhere:stamp', after: authenticate}]\n"
    )

    assert "there is no module nowhere" in refuse(directory)


def test_several_workers_do_not_each_let_in_what_a_rule_says(directory: Path) -> None:
    """Exit code 2, and the lines to write; a rule that counts nothing is no reason."""
    settings = directory / "gateway.yaml"
    settings.write_text("limits: [{name: few, on: principal, concurrent: 3}]\n")
    with started(directory, "--workers", "4") as running:
        _, err = running.communicate(timeout=START_S)

    assert running.returncode == 2
    assert "With 4 workers the rule few would let in 4 times what it says" in err
    assert "stores:\n  counters: redis://" in err


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is a program of util-linux")
def test_on_a_terminal_it_reloads_and_ends_with_it(directory: Path) -> None:
    """SIGHUP is the word for both; what is printed for people stands where they look."""
    ours, terminal = pty.openpty()
    command = ["setsid", "--ctty", sys.executable, "-m", "gateway", "serve"]
    with subprocess.Popen(
        [*command, "--port", "0", "--admin-port", "0"],
        cwd=directory,
        env={**FEW_AUTHORITIES, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as running:
        os.close(terminal)
        try:
            seen = read_until(ours, b"curl -N")
            running.send_signal(signal.SIGHUP)
            seen += read_until(ours, b"config.reloaded")
            os.close(ours)  # the window is closed

            assert running.wait(START_S) == 0
        finally:
            running.kill()
    assert b"gateway.started" in seen.partition(b"listening")[0]


def read_until(descriptor: int, mark: bytes) -> bytes:
    """What a terminal shows, up to this."""
    seen = b""
    while mark not in seen:
        seen += os.read(descriptor, 4_096)
    return seen
