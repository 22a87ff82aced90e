"""Secrets that a test plants, and every place where one of them could have come out.

The rule here: what an operator wrote holds secrets (the configuration, the file of the pepper, the
variables of a process); nothing else may, in no form that somebody could turn back.
"""

import base64
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

Place = tuple[str, bytes]  # what it is called, and what is there

WRITTEN = frozenset({"gateway.yaml", "providers.yaml", "gateway.pepper"})
VARIABLES = (b"_API_KEY", b"GATEWAY_")  # how the names of what an operator sets end, or begin
PROC = "/proc"
READ_BYTES = 65_536
SHOWN_CHARS = 4  # of a secret that was found, by which the test knows it


def find_leaks(secrets: Iterable[str], places: Iterable[Place]) -> list[str]:
    """Every secret that is somewhere, as `…last in place`."""
    forms = {secret: _forms_of(secret.encode()) for secret in set(secrets) if secret}
    return [
        f"…{secret[-SHOWN_CHARS:]} in {name}"
        for name, content in places
        for secret, written in forms.items()
        if any(form in content for form in written)
    ]


def refuse_leaks(secrets: Iterable[str], places: Iterable[Place]) -> None:
    """Assert that no secret is in any of these places."""
    leaks = find_leaks(secrets, places)
    assert not leaks, "; ".join(leaks)


def files_in(directory: Path) -> Iterator[Place]:
    """Every file below a directory that no operator wrote: databases, their logs, journals."""
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file.name not in WRITTEN:
            with suppress(FileNotFoundError):  # SQLite takes its own away
                yield f"the file {file.name}", file.read_bytes()


def processes_below(pid: int | None = None) -> Iterator[Place]:
    """What everybody on the machine can see of the processes that one has started."""
    for child in _children_of(os.getpid() if pid is None else pid):
        yield from seen_of(child)
        yield from processes_below(child)


def seen_of(pid: int) -> Iterator[Place]:
    """The command line and the environment of a process, without what an operator set."""
    # Gone meanwhile, or another user's, whom nobody else can look into either.
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        yield f"the command line of {pid}", _read(f"{PROC}/{pid}/cmdline")
        entries = _read(f"{PROC}/{pid}/environ").split(b"\0")
        yield (
            f"the environment of {pid}",
            b"\0".join(entry for entry in entries if not _is_an_operators(entry)),
        )


def _children_of(pid: int) -> list[int]:
    children: list[int] = []
    # None where there is no /proc.
    with suppress(FileNotFoundError, ProcessLookupError), os.scandir(f"{PROC}/{pid}/task") as tasks:
        for task in tasks:
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, _read(f"{task.path}/children").split())
    return children


def _read(path: str) -> bytes:
    """A file of the kernel; a Path asks seven times for what is told in four, a hundred a test."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(descriptor, READ_BYTES), b""))
    finally:
        os.close(descriptor)


def _is_an_operators(entry: bytes) -> bool:
    name = entry.partition(b"=")[0]
    return name.endswith(VARIABLES) or name.startswith(VARIABLES)


def _forms_of(secret: bytes) -> frozenset[bytes]:
    """A secret as it is, percent-encoded, and in Base64 whatever stands before it."""
    # Three bytes are four characters: what comes before moves it by 0, 1 or 2 bytes, and the
    # characters at both ends are shared with its neighbours.
    moved = [base64.b64encode(bytes(by) + secret)[4 if by else 0 : -4] for by in range(3)]
    return frozenset({secret, quote(secret, safe="").encode(), *moved})
