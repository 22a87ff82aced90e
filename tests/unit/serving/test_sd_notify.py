"""What a service manager is told, on a socket that the test listens to."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.config.systemd import Systemd
from gateway.serving.sd_notify import Notifier

WATCHDOG_S = 0.06  # long enough for a loop that is alive


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """Somebody who listens, at either sort of address."""
    address = str(tmp_path / "notify") if request.param == "path" else f"\0{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(10)
        yield listening


def notifier_of(systemd: socket.socket, watchdog_s: float | None = None) -> Notifier:
    """One that tells this systemd."""
    address = systemd.getsockname()
    address = address.decode() if isinstance(address, bytes) else address
    return Notifier(Systemd(address, watchdog_s))


def test_what_is_told_is_what_systemd_reads(systemd: socket.socket) -> None:
    """Each a datagram of lines, with the words of sd_notify(3)."""
    notifier = notifier_of(systemd)

    notifier.tell_ready("Listening.")
    notifier.tell_status("Busy.")
    notifier.tell_stopping("Draining.", within_s=1.5)

    assert [systemd.recv(1000) for _ in range(3)] == [
        b"READY=1\nSTATUS=Listening.",
        b"STATUS=Busy.",
        b"STOPPING=1\nSTATUS=Draining.\nEXTEND_TIMEOUT_USEC=1500000",
    ]


def test_a_reload_is_told_while_it_is_ready(systemd: socket.socket) -> None:
    """`READY=1` after one that came too early would end the start before it listens."""
    notifier = notifier_of(systemd)

    notifier.tell_reloading()
    notifier.tell_reloaded("Too early.")
    notifier.tell_ready("Listening.")
    notifier.tell_reloading()
    notifier.tell_reloaded("Listening.")

    assert systemd.recv(1000) == b"READY=1\nSTATUS=Listening."
    reloading, now = systemd.recv(1000).split(b"\nMONOTONIC_USEC=")
    assert reloading == b"RELOADING=1"
    assert 0 < int(now) <= time.monotonic_ns() // 1000
    assert systemd.recv(1000) == b"READY=1\nSTATUS=Listening."


async def test_a_loop_that_runs_gives_signs_of_life(systemd: socket.socket) -> None:
    """Several in the time after which it would be taken for dead, each with its status."""
    statuses = iter(["one", "two"])
    systemd.settimeout(0)

    notifier_of(systemd, WATCHDOG_S).keep_beating(lambda: next(statuses, None))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        heard = [await loop.sock_recv(systemd, 1000) for _ in range(2)]

    assert heard == [b"WATCHDOG=1\nSTATUS=one", b"WATCHDOG=1\nSTATUS=two"]


def test_a_loop_that_hangs_gives_none(systemd: socket.socket) -> None:
    """That is what it is for: a thread of its own would go on saying that all is well."""
    blocked, go_on = threading.Event(), threading.Event()

    async def hang() -> None:
        notifier_of(systemd, WATCHDOG_S).keep_beating(lambda: "alive")
        blocked.set()
        go_on.wait()  # the whole loop

    thread = threading.Thread(target=lambda: asyncio.run(hang()))
    thread.start()
    blocked.wait()
    systemd.recv(1000)  # the one before it hung
    systemd.settimeout(2 * WATCHDOG_S)

    with pytest.raises(TimeoutError):
        systemd.recv(1000)

    go_on.set()
    thread.join()


async def test_nobody_is_told_where_nobody_listens() -> None:
    """A start in a shell opens no socket, and no timer wakes it."""
    notifier = Notifier()

    notifier.tell_ready("Listening.")
    notifier.keep_beating(lambda: pytest.fail("a beat for nobody"))
    await asyncio.sleep(0)

    notifier.tell_stopping("Draining.", within_s=1)


def test_a_systemd_that_is_gone_is_logged_once(tmp_path: Path) -> None:
    """The gateway goes on; a line for each beat would fill the log."""
    notifier = Notifier(Systemd(str(tmp_path / "gone")))

    with capture_logs() as lines:
        notifier.tell_ready("Listening.")
        notifier.tell_status("Busy.")

    reason = "No such file or directory"
    assert lines == [{"event": "systemd.not_told", "log_level": "warning", "reason": reason}]
