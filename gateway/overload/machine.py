"""What this process uses of its machine, and how much it may.

The rule here: nothing takes longer the more is open. Where a system does not say something it is
None, and nothing follows from it.
"""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import msgspec

PROC = Path("/proc/self")
CGROUPS = Path("/sys/fs/cgroup")


class Reading(msgspec.Struct, frozen=True):
    """One look at the machine."""

    resident_bytes: int | None  # memory in use
    memory_bytes: int | None  # that there is
    files: int | None  # that are open
    file_limit: int | None


class Machine:
    """The machine as this process sees it; one of `workers` that share its memory."""

    def __init__(self, workers: int = 1) -> None:
        memory_bytes = find_memory_limit()
        self._memory_bytes = None if memory_bytes is None else memory_bytes // workers

    def read(self) -> Reading:
        """Look; 20 µs."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return Reading(
            read_resident_bytes(),
            self._memory_bytes,
            count_open_files(),
            None if limit == resource.RLIM_INFINITY else limit,
        )


def find_memory_limit(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """The memory that this process and its siblings may use: the least that anything allows.

    The machine's, the container's, or what systemd lets the service have (MemoryMax=, MemoryHigh=).
    """
    limits = []
    with contextlib.suppress(ValueError, OSError):  # a system without these names
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _list_limits(proc, cgroups):
        with contextlib.suppress(ValueError, OSError):  # "max", or there is no such file
            limits.append(int(path.read_text("ascii")))
    return min((limit for limit in limits if limit > 0), default=None)


def _list_limits(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Where limits may stand: for this process's group, and for each that it is part of."""
    for controllers, group in _read_groups(proc):
        inner = Path(group.lstrip("/"))
        for around in (inner, *inner.parents):
            if not controllers:
                yield cgroups / around / "memory.max"
                yield cgroups / around / "memory.high"
            elif "memory" in controllers.split(","):  # version 1
                yield cgroups / "memory" / around / "memory.limit_in_bytes"


def _read_groups(proc: Path) -> list[tuple[str, str]]:
    """What cgroups(7) says this process is in: controllers and path.

    A container may see the path that its host knows it by, which is not there. What it has at the
    top is its own then.
    """
    groups = [("", "/"), ("memory", "/")]
    with contextlib.suppress(OSError):
        for line in os.fsdecode((proc / "cgroup").read_bytes()).splitlines():
            _, controllers, path = line.split(":", 2)
            if ".." not in path:
                groups.append((controllers, path))
    return groups


def read_resident_bytes(proc: Path = PROC) -> int | None:
    """Memory of this process that is in use."""
    try:
        pages = int((proc / "statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def count_open_files(proc: Path = PROC) -> int | None:
    """How many files are open: what Linux has said since 6.2, or else a little too few.

    To list them takes milliseconds when there are ten thousand. The number of the next file is how
    many there are, but for those that were closed in between.
    """
    try:
        known = (proc / "fd").stat().st_size
    except OSError:
        return None
    if known:
        return known
    try:
        lowest = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
    os.close(lowest)
    return lowest
