"""Starting programs, knowing when they answer, and ending them.

The rule here: what is started is ended, by its own process id, however we leave.
"""

import http.client
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import pinned_to

HOST = "127.0.0.1"
ROOT = Path(__file__).parent.parent
READY_S = 30
# Below those that systems hand out (Linux from 32768, macOS from 49152).
LISTENING_PORTS = (20_000, 32_000)
STOP_S = 10
POLL_S = 0.002
LOG_LINES = 20


class ProgramError(RuntimeError):
    """A program that did not start or did not stay; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a program is started."""

    name: str
    command: Sequence[str | Path]
    log: Path
    cores: frozenset[int] = frozenset()
    env: Mapping[str, str] = field(default_factory=dict)
    has_pipes: bool = False  # whether we talk to it over its standard input and output


@dataclass(slots=True)
class Program:
    """A program that we started."""

    launch: Launch
    child: subprocess.Popen[bytes]
    started_s: float
    answered_s: float = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def start_s(self) -> float:
        """From its start to its first answer."""
        return self.answered_s - self.started_s

    def check(self) -> None:
        """Raise when it is no longer there."""
        code = self.child.poll()
        if code is not None:
            raise ProgramError(f"{self.launch.name} ended with {code}:\n{self._log_end()}")

    def wait_until_ready(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        """Ask until it answers 200, and note when that was."""
        seen: object = "nothing"
        while time.perf_counter() < self.started_s + READY_S:
            self.check()
            seen = _ask_status(port, path, headers)
            if seen == http.HTTPStatus.OK:
                self.answered_s = time.perf_counter()
                return
            time.sleep(POLL_S)  # a program that starts tells nobody but by answering
        raise ProgramError(
            f"{self.launch.name} gave {seen}, never 200, on {path}:\n{self._log_end()}"
        )

    def wait_for_file(self, path: Path) -> None:
        """Wait until it has made this file, which is the last thing before it answers."""
        while time.perf_counter() < self.started_s + READY_S:
            self.check()
            if path.exists():
                self.answered_s = time.perf_counter()
                return
            time.sleep(POLL_S)  # a program that starts tells nobody but by what it makes
        raise ProgramError(f"{self.launch.name} did not make {path}:\n{self._log_end()}")

    def wait_for_word(self, word: str) -> None:
        """Wait until it has said this in its log."""
        while time.perf_counter() < self.started_s + READY_S:
            self.check()
            if word in self.launch.log.read_text(errors="replace"):
                return
            time.sleep(POLL_S)  # a program that starts tells nobody but by what it says
        raise ProgramError(f"{self.launch.name} did not say {word!r}:\n{self._log_end()}")

    def _log_end(self) -> str:
        lines = self.launch.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])


@contextmanager
def running(launch: Launch) -> Iterator[Program]:
    """Start a program in a session of its own, and end it on the way out."""
    pipe = subprocess.PIPE if launch.has_pipes else None
    with launch.log.open("ab") as log:
        with pinned_to(launch.cores):
            started_s = time.perf_counter()
            child = subprocess.Popen(
                launch.command,
                cwd=ROOT,
                env={**os.environ, **launch.env},
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to handle, not each child's
            )
        try:
            yield Program(launch, child, started_s)
        finally:
            _end(child)


def find_free_port() -> int:
    """A port that nobody listens on now, and that no outgoing connection will be given."""
    while True:
        port = random.randrange(*LISTENING_PORTS)  # noqa: S311 - any port will do
        try:
            socket.create_server((HOST, port)).close()
        except OSError:
            continue  # somebody listens there
        return port


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # its workers too: the session is its own
        child.wait()


def _ask_status(port: int, path: str, headers: Mapping[str, str]) -> int | str:
    connection = http.client.HTTPConnection(HOST, port, timeout=READY_S)
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
