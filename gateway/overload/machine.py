"""What this process uses of its machine, and how much it may.

The rule here: nothing takes longer the more is open. Where a system does not say something it is
None, and nothing follows from it.
"""

import contextlib
import os
import resource
from pathlib import Path

import msgspec

PROC = Path("/proc/self")
# Of version 2 and 1; in a container these are its own.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


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


def find_memory_limit(cgroup_limits: tuple[Path, ...] = CGROUP_LIMITS) -> int | None:
    """The memory that this process and its siblings may use: the machine's, or the container's."""
    limits = []
    with contextlib.suppress(ValueError, OSError):  # a system without these names
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in cgroup_limits:
        with contextlib.suppress(ValueError, OSError):  # "max", or there is no such file
            limits.append(int(path.read_text("ascii")))
    return min(limits, default=None)


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
