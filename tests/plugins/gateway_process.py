"""A gateway in a process of its own, for what only a process has: memory and a limit of files.

The rule here: everything is read from /proc, so whoever uses this needs Linux.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.plugins.authorities import FEW_AUTHORITIES
from tests.plugins.canaries import Place, files_in, refuse_leaks, seen_of
from tests.plugins.declared import refuse_undeclared
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.raw_caller import Caller, Heard

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 30
KIBIBYTE = 1024
RESET_PEAK = "5"  # what proc(5) says to write for that
PIDFD_GETFD = 438  # its number on every architecture; Python has no function for it


class GatewayProcess:
    """One running `gateway serve`."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._running = running
        self._reader: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._settled_count = 0
        self.port = 0
        self.admin_port = 0
        self.output: list[str] = []
        self.secrets: list[str] = []  # of the test, beside the provider's credential

    @property
    def settled(self) -> list[dict[str, Any]]:
        """The terminal line of each exchange so far."""
        return self.lines("exchange.settled")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event so far."""
        lines = [json.loads(line) for line in self.output if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    @property
    def workers(self) -> list[int]:
        """The processes that answer for it, in the order in which they were started."""
        return sorted(one for one, command in self._children() if b"spawn_main" in command)

    @property
    def helpers(self) -> list[int]:
        """Other processes that it has started."""
        return sorted(one for one, command in self._children() if b"spawn_main" not in command)

    def _children(self) -> list[tuple[int, bytes]]:
        tasks = Path(f"/proc/{self._running.pid}/task").iterdir()
        children = [c for task in tasks for c in (task / "children").read_text().split()]
        return [(int(child), Path(f"/proc/{child}/cmdline").read_bytes()) for child in children]

    async def wait_for_lines(self, event: str, count: int) -> list[dict[str, Any]]:
        """The lines of one event, once there are that many."""
        await self._wait(lambda: len(self.lines(event)) >= count)
        return self.lines(event)

    @property
    def open_files(self) -> int:
        """How many descriptors it has."""
        return len(list(Path(f"/proc/{self._running.pid}/fd").iterdir()))

    async def wait_until_listening(self) -> None:
        """Read its output from here on; wait for the line that says where it listens."""
        self._reader = asyncio.ensure_future(self._read())
        await self._wait(lambda: self.admin_port > 0)  # the second of the two

    async def wait_for_settled(self, count: int) -> list[dict[str, Any]]:
        """The terminal lines, once there are that many."""
        await self._wait(lambda: self._settled_count >= count)
        return self.settled

    async def fetch(self, path: str) -> Heard:
        """A page of the admin listener."""
        async with Caller(self.admin_port) as caller:
            await caller.send(f"GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n".encode())
            return await caller.read_answer()

    async def wait_for_turned_away(self, count: int) -> list[dict[str, Any]]:
        """The lines about callers without a place, once they speak of that many."""

        def lines() -> list[dict[str, Any]]:
            return self.lines("connections.turned_away")

        await self._wait(lambda: sum(line["count"] for line in lines()) >= count)
        return lines()

    def limit_files(self, count: int) -> None:
        """Let it have no more descriptors than so many."""
        resource.prlimit(self._running.pid, resource.RLIMIT_NOFILE, (count, count))

    def borrow_socket(self, peer: tuple[str, int]) -> socket.socket:
        """Its own end of a connection, to shorten what the kernel was told to wait."""
        process = os.pidfd_open(self._running.pid)
        try:
            for link in Path(f"/proc/{self._running.pid}/fd").iterdir():
                if not str(link.readlink()).startswith("socket:"):
                    continue
                number = ctypes.CDLL(None).syscall(PIDFD_GETFD, process, int(link.name), 0)
                borrowed = socket.socket(fileno=number)
                with contextlib.suppress(OSError):  # most are not connected
                    if borrowed.getpeername() == peer:
                        return borrowed
                borrowed.close()
        finally:
            os.close(process)
        raise AssertionError(f"no connection with {peer}")

    def forget_peak(self) -> int:
        """Measure memory from here on; what it takes now, in bytes."""
        Path(f"/proc/{self._running.pid}/clear_refs").write_text(RESET_PEAK)
        return self._memory("VmRSS")

    @property
    def peak_bytes(self) -> int:
        """The most memory that it has taken since."""
        return self._memory("VmHWM")

    def limit_file_size(self, size: int) -> None:
        """Let no file grow beyond so many bytes: 0 is a full disk."""
        hard = resource.prlimit(self._running.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self._running.pid, resource.RLIMIT_FSIZE, (size, hard))

    async def wait_for_line(self, event: str) -> dict[str, Any]:
        """The first line of an event."""
        await self._wait(lambda: any(event in line for line in self.output))
        return self.lines(event)[0]

    def kill_worker(self, number: int) -> None:
        """End one of its workers as the kernel does when memory runs out."""
        assert number in self.workers
        os.kill(number, signal.SIGKILL)

    def tell_to_stop(self) -> None:
        """Send it a SIGTERM, the first or another one."""
        self._running.terminate()

    @property
    def pid(self) -> int:
        """The process that was started; with several workers, the one that looks after them."""
        return self._running.pid

    async def wait_for_end(self) -> int:
        """Its exit code, once it has ended by itself and all that it said was read."""
        async with asyncio.timeout(TIMEOUT_S):
            code = await self._running.wait()
            if self._reader is not None:
                await self._reader
        return code

    async def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self._running.kill()
        await self._running.wait()

    async def stop(self) -> None:
        """End it, and read what it still says."""
        if self._running.returncode is None:
            self._running.terminate()
        async with asyncio.timeout(TIMEOUT_S):
            await self._running.wait()
            if self._reader is not None:
                await self._reader

    async def _wait(self, holds: Any) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not holds():
                self._arrived.clear()
                await self._arrived.wait()

    async def _read(self) -> None:
        assert self._running.stdout is not None
        async for line in self._running.stdout:
            text = line.decode().rstrip()
            self.output.append(text)
            self._settled_count += '"event":"exchange.settled"' in text
            if text.startswith("listening"):
                self.port = 0 if "unix:" in text else int(text.rpartition(":")[2])
            elif text.startswith("admin"):
                self.admin_port = int(text.rpartition(":")[2])
            self._arrived.set()

    def _memory(self, name: str) -> int:
        text = Path(f"/proc/{self._running.pid}/status").read_text()
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name}:")]
        return int(line.split()[1]) * KIBIBYTE


@asynccontextmanager
async def gateway_process(
    directory: Path,
    providers: dict[str, Any],
    settings: dict[str, Any],
    *,
    command: tuple[str, ...] = (),
    listening: tuple[int, int] = (0, 0),
) -> AsyncIterator[GatewayProcess]:
    """Run a gateway with these files; its output must hold nothing that looks like a mistake.

    `command` is what is written before its own, to run it somewhere else; `listening` are the ports
    of its two listeners, free ones unless they are given.
    """
    (directory / "providers.yaml").write_text(yaml.safe_dump({"providers": providers}))
    (directory / "gateway.yaml").write_text(yaml.safe_dump(settings))
    files = ("--providers", "providers.yaml", "--config", "gateway.yaml")
    # A port that is asked for wins over a socket in the settings.
    is_on_socket = "unix_socket" in settings.get("server", {})
    ports = (
        *(() if is_on_socket else ("--port", str(listening[0]))),
        *("--admin-port", str(listening[1])),
    )
    environment = {f"{name.upper()}_API_KEY": CREDENTIAL for name in providers}
    running = await asyncio.create_subprocess_exec(
        *(*command, sys.executable, "-m", "gateway", "serve", *files, *ports),
        cwd=directory,
        env={**environment, **FEW_AUTHORITIES, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**22,
    )
    gateway = GatewayProcess(running)
    seen: list[Place] = []
    try:
        await gateway.wait_until_listening()
        yield gateway
        seen += seen_of(running.pid)
    finally:
        await gateway.stop()
    refuse_leaks([CREDENTIAL, *gateway.secrets], [*seen, *files_in(directory)])
    refuse_undeclared(json.loads(line) for line in gateway.output if line.startswith("{"))
    text = "\n".join(gateway.output)
    for word in (
        "Traceback",
        "never retrieved",
        "Unclosed",
        "never awaited",
        CREDENTIAL,
        *gateway.secrets,
    ):
        assert word not in text, text[-4000:]
