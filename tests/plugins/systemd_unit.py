"""What systemd does for a service: holds its socket, hands it over, hears how it fares.

The rule here: descriptors and variables reach the process as systemd passes them, and the process
is the real program.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.plugins.authorities import FEW_AUTHORITIES
from tests.plugins.raw_caller import Caller, Heard

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 30
# LISTEN_PID is the process's own number, which only the process itself can write there.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Unit:
    """A service of one socket; started and stopped as often as a test wants."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self.listening.getsockname()[1]
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(directory / "notify"))
        self._notify.settimeout(0)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[bytes] | None = None
        self.output = ""

    def listen_on_all_addresses(self) -> None:
        """Hold a port that other machines reach."""
        self.listening.close()
        self.listening = socket.create_server(("0.0.0.0", 0))
        self.port = self.listening.getsockname()[1]

    async def start(self, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Start the program; it is ready when it says so."""
        command = ("-m", "gateway", "serve", "--admin-port", "0", *options)
        descriptor = self.listening.fileno()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-c", HAND_OVER, str(descriptor), *command),
            cwd=self._directory,
            env={
                **FEW_AUTHORITIES,
                "PYTHONPATH": str(ROOT),
                "NOTIFY_SOCKET": str(self._directory / "notify"),
                "LISTEN_FDS": "1",
                "LISTEN_FDNAMES": "gateway",
                **(environment or {}),
            },
            pass_fds=(descriptor,),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._reader = asyncio.ensure_future(self._process.stdout.read())

    async def hear(self, line: str) -> list[str]:
        """The first message with this line in it; those before it are skipped."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                lines = (await loop.sock_recv(self._notify, 4096)).decode().split("\n")
                if line in lines:
                    return lines

    async def ask(self, path: str = "/v1/models") -> Heard:
        """One answer, on a connection of its own."""
        async with Caller(self.port) as caller:
            await caller.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            return await caller.read_answer()

    @property
    def workers(self) -> list[int]:
        """The processes that it has started and that answer."""
        assert self._process is not None
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        children = [c for task in tasks for c in (task / "children").read_text().split()]
        commands = {int(c): Path(f"/proc/{c}/cmdline").read_bytes() for c in children}
        return sorted(child for child, command in commands.items() if b"spawn_main" in command)

    def signal(self, number: signal.Signals) -> None:
        """Send it to the first process alone, as ExecReload= does."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Tell all its processes, the first one first, as KillMode=control-group does."""
        workers = self.workers
        self.signal(signal.SIGTERM)
        for worker in workers:
            os.kill(worker, signal.SIGTERM)

    async def wait(self) -> int | None:
        """Its exit code, once it has ended; `output` is what it said."""
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(TIMEOUT_S):
            await self._process.wait()
            self.output = (await self._reader).decode()
        return self._process.returncode

    async def close(self) -> None:
        """End what a failed test left running."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.wait()
        self._notify.close()
        self.listening.close()


@asynccontextmanager
async def service_unit(directory: Path) -> AsyncIterator[Unit]:
    """A unit whose files are in this directory."""
    unit = Unit(directory)
    try:
        yield unit
    finally:
        await unit.close()
    for word in ("Traceback", "never retrieved", "Unclosed", "never awaited"):
        assert word not in unit.output, unit.output[-4000:]


def kill(process: int) -> None:
    """End a process as the kernel does when memory runs out."""
    os.kill(process, signal.SIGKILL)
