"""What systemd, or a service manager like it, tells the process that it starts.

Rule: it is told to one process. The variables are taken away when they are read, so that nothing
which this one starts believes they were meant for it.
"""

import os
import re
from collections.abc import MutableMapping
from dataclasses import dataclass

FIRST_DESCRIPTOR = 3  # after standard input, output and error (sd_listen_fds(3))
DESCRIPTORS_MAX = 1_024
MICROSECONDS = 1_000_000

_NUMBER = re.compile(r"[0-9]{1,18}")


class SystemdError(ValueError):
    """A variable of systemd's that cannot be what one writes."""


@dataclass(frozen=True, slots=True)
class HandedSocket:
    """A socket that was opened for this process before it began."""

    descriptor: int
    name: str  # as FileDescriptorName= says; by default the name of the socket unit


@dataclass(frozen=True, slots=True)
class Systemd:
    """Who started this process, as far as it wants to hear from it or has something for it."""

    notify_address: str | None = None  # as the kernel wants it: an abstract one begins with NUL
    watchdog_s: float | None = None  # how long it waits for a sign of life
    sockets: tuple[HandedSocket, ...] = ()


def take_systemd(environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> Systemd:
    """Return what is meant for this process, and take it out of the environment."""
    pid = os.getpid() if pid is None else pid
    taken = {
        name: environ.pop(name, "")
        for name in (
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
        )
    }
    return Systemd(_notify_address(taken), _watchdog_s(taken, pid), _sockets(taken, pid))


def _notify_address(taken: dict[str, str]) -> str | None:
    text = taken["NOTIFY_SOCKET"]
    if not text:
        return None
    if text[0] not in "/@" or len(text) == 1:
        raise SystemdError(
            "NOTIFY_SOCKET needs to be the absolute path of a socket, or @ and a name; "
            "unset it where no service manager listens."
        )
    return f"\0{text[1:]}" if text[0] == "@" else text


def _watchdog_s(taken: dict[str, str], pid: int) -> float | None:
    text = taken["WATCHDOG_USEC"]
    if not text or taken["WATCHDOG_PID"] not in {"", str(pid)}:
        return None
    return (_number("WATCHDOG_USEC", text) / MICROSECONDS) or None


def _sockets(taken: dict[str, str], pid: int) -> tuple[HandedSocket, ...]:
    text = taken["LISTEN_FDS"]
    if not text or taken["LISTEN_PID"] != str(pid):
        return ()
    count = _number("LISTEN_FDS", text)
    if count > DESCRIPTORS_MAX:
        raise SystemdError(f"LISTEN_FDS is {count}; {DESCRIPTORS_MAX} are the most.")
    names = taken["LISTEN_FDNAMES"].split(":") if taken["LISTEN_FDNAMES"] else []
    return tuple(
        HandedSocket(FIRST_DESCRIPTOR + at, names[at] if at < len(names) else "unknown")
        for at in range(count)
    )


def _number(name: str, text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise SystemdError(f"{name} needs to be a whole number.")
    return int(text)
