"""A log file in use: written by a gateway, rotated by logrotate, shipped by rsyslog, followed.

The rule here: the programs are Debian's, their configurations those that ship; only paths and the
port differ.
"""

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.logs.following import Tail, wait_a_little
from gateway.logs.lines import parse_line
from tests.house.tree import ROOT
from tests.plugins.log_lines import line_of, other, settled, written
from tests.plugins.programs import find_program
from tests.plugins.syslog_server import Message, SyslogServer

LOGS = ROOT / "deploy" / "logs"
FILE = "/var/log/chat-gateway/gateway.log"
WAIT_S = 30
STOP_S = 10


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Name the file, which only its owner may write to: logrotate insists."""
    directory = tmp_path / "log"
    directory.mkdir(mode=0o755)
    return directory / "gateway.log"


def shipped(name: str, log: Path) -> str:
    """Read a configuration as it ships, for another file."""
    text = (LOGS / name).read_text(encoding="utf-8")
    assert FILE in text
    return text.replace(FILE, str(log))


@contextmanager
def rsyslog(log: Path, server: SyslogServer) -> Iterator[None]:
    """Run rsyslog with what ships, beside the lines that Debian's own file has."""
    program = find_program("rsyslogd", install="apt install rsyslog", part="rsyslog")
    spool = log.parent / "spool"
    spool.mkdir()
    config = log.parent / "rsyslog.conf"
    ours = shipped("rsyslog.conf", log).replace('port="6514"', f'port="{server.port}"')
    config.write_text(f'global(workDirectory="{spool}")\n{ours}')
    command = [program, "-n", "-f", config, "-i", "NONE"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield
        finally:
            running.terminate()
            _, said = running.communicate(timeout=STOP_S)
    assert said == ""


def rotate(log: Path) -> None:
    """Run logrotate with what ships, as if the day was over."""
    program = find_program("logrotate", install="apt install logrotate")
    config = log.parent / "logrotate.conf"
    config.write_text(shipped("logrotate.conf", log))
    config.chmod(0o644)
    done = subprocess.run(
        [program, "--force", "--state", log.parent / "state", config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again and again."""
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, "it did not come"
        wait_a_little()


@contextmanager
def gateway(log: Path) -> Iterator[int]:
    """Run a gateway as a shell does with `>> gateway.log`; gives its port."""
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--admin-port", "0"]
    with (
        log.open("ab") as file,
        subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT) as running,
    ):
        try:
            listening = re.compile(r"^listening +http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
            wait_until(lambda: listening.search(log.read_text()) is not None)
            found = listening.search(log.read_text())
            assert found is not None
            yield int(found[1])
        finally:
            running.terminate()
            running.wait(timeout=STOP_S)


def ask(port: int, *request_ids: str) -> None:
    """Have exchanges with the demo provider."""
    body = json.dumps({"model": "demo/plain", "messages": [{"role": "user", "content": "Hi"}]})
    for request_id in request_ids:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        headers = {"Content-Type": "application/json", "X-Request-ID": request_id}
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 200


def ids_of(lines: list[bytes]) -> list[str]:
    """Give the ids of the exchanges among some lines."""
    parsed = [fields for fields in map(parse_line, lines) if fields is not None]
    return [fields["request_id"] for fields in parsed if fields["event"] == "exchange.settled"]


def exchanges(messages: list[Message]) -> list[str]:
    """Give the ids of the exchanges among some messages."""
    return ids_of([message.line for message in messages])


def test_every_line_arrives_once_across_a_rotation(log: Path) -> None:
    """Gateway, logrotate, rsyslog and `gateway logs -f`, each as an operator would have it."""
    said: list[str] = []
    tail = Tail(log, last_bytes=None, say=said.append)
    lines: list[bytes] = []

    def followed(count: int) -> bool:
        lines.extend(line for batch in tail.read() for line in batch)
        return len(ids_of(lines)) >= count

    with SyslogServer() as server, gateway(log) as port, rsyslog(log, server):
        before, after = ["r-1", "r-2", "r-3"], ["r-4", "r-5"]
        ask(port, *before)
        wait_until(lambda: followed(3))
        arrived = server.read_until(lambda messages: len(exchanges(messages)) == 3)
        rotate(log)
        ask(port, *after)
        wait_until(lambda: followed(5))
        arrived += server.read_until(lambda messages: len(exchanges(messages)) == 2)
    tail.close()

    assert said == []
    assert ids_of(lines) == before + after
    assert exchanges(arrived) == before + after
    assert "gateway.started" in [message.event for message in arrived]
    assert ids_of(log.with_name("gateway.log.1").read_bytes().splitlines()) == before
    assert b"\0" not in log.read_bytes()


def test_rsyslog_gives_a_line_its_own_time_and_severity(log: Path) -> None:
    """And passes over what is not the gateway's, and cuts nothing off."""
    crash = other(
        "task.crashed", "2026-11-28T13:00:00.250Z", level="error", exception="x\n" * 8_000
    )
    log.write_bytes(
        b'listening  http://127.0.0.1:8080\n{"half\n{"a":1}\n'
        + written(settled(provider=None), crash, other("x.y", level="warning"))
    )

    with SyslogServer() as server, rsyslog(log, server):
        exchange, crashed, warned = server.read(3)

    assert exchange.line == line_of(settled(provider=None))
    assert exchange.fields == {
        "level": "info",
        "request_id": "r1",
        "provider": "",
        "outcome": "finished",
    }
    assert (exchange.app, exchange.event) == ("gateway", "exchange.settled")
    assert json.loads(crashed.line) == crash
    assert crashed.timestamp == "2026-11-28T13:00:00.250Z"
    assert [message.severity for message in (exchange, crashed, warned)] == [6, 3, 4]
    assert {message.facility for message in (exchange, crashed, warned)} == {16}
