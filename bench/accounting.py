"""CPU time and memory of other processes, without a library.

The rule here: whole process trees are read, and the finest clock the system offers.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
WORKER = b"spawn_main"  # in the command line of a process that Python has started
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
HAS_PROC = sys.platform == "linux"
HAS_SCHEDSTAT = (PROC / "self" / "schedstat").exists()

# Fields of schedstat.
RAN, WAITED = 0, 1
# Fields of /proc/PID/stat after the command's name, which may hold spaces and parentheses.
PARENT, USER_TICKS, SYSTEM_TICKS = 1, 11, 12


def cpu_clock() -> str:
    """Where CPU times come from, for the report."""
    if HAS_SCHEDSTAT:
        return "/proc/PID/task/*/schedstat, in nanoseconds"
    if HAS_PROC:
        return f"/proc/PID/stat, in steps of {TICK_NS // 1_000_000} ms"
    return "ps, in steps of 10 ms"


def find_tree(pid: int) -> tuple[int, ...]:
    """The process and everything that descends from it."""
    parents = _proc_parents() if HAS_PROC else _ps_parents()
    tree = [pid]
    for member in tree:  # grows while it is read
        tree += [child for child, parent in parents.items() if parent == member]
    return tuple(tree)


def find_workers(pid: int) -> tuple[int, ...]:
    """The processes that answer for a gateway: itself, or those that it has started for that."""
    tree = [one for one in find_tree(pid) if one != pid]
    workers = [one for one in tree if WORKER in (PROC / f"{one}/cmdline").read_bytes()]
    return tuple(sorted(workers)) or (pid,)


def read_cpu_ns(pids: Iterable[int]) -> int:
    """CPU time that the processes have used so far."""
    if HAS_SCHEDSTAT:
        return sum(_schedstat(pid, RAN) for pid in pids)
    if HAS_PROC:
        return sum(_ticks(pid) for pid in pids) * TICK_NS
    return sum(_ps_cpu_ns(pid) for pid in pids)


def read_wait_ns(pids: Iterable[int]) -> int:
    """Time that the processes were ready to run and did not, where the system tells it."""
    return sum(_schedstat(pid, WAITED) for pid in pids) if HAS_SCHEDSTAT else 0


def read_rss_bytes(pids: Iterable[int]) -> int:
    """Resident memory of the processes."""
    if HAS_PROC:
        pages = ((PROC / str(pid) / "statm").read_text().split()[1] for pid in pids)
        return sum(map(int, pages)) * PAGE_BYTES
    return sum(int(_ps("rss=", pid)) * 1024 for pid in pids)


def _schedstat(pid: int, field: int) -> int:
    tasks = (PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[field]) for task in tasks)


def _stat_fields(stat: Path) -> list[str]:
    return stat.read_text().rpartition(")")[2].split()


def _ticks(pid: int) -> int:
    fields = _stat_fields(PROC / str(pid) / "stat")
    return int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])


def _proc_parents() -> dict[int, int]:
    parents = {}
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(_stat_fields(stat)[PARENT])
        except OSError:  # it ended while we looked
            continue
    return parents


def _ps_parents() -> dict[int, int]:
    listed = subprocess.run(
        ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.split() for line in listed.splitlines())
    return {int(pid): int(parent) for pid, parent in pairs}


def _ps_cpu_ns(pid: int) -> int:
    seconds = 0.0
    for part in _ps("time=", pid).split(":"):  # [hours:]minutes:seconds.hundredths
        seconds = seconds * 60 + float(part)
    return round(seconds * 1_000_000_000)


def _ps(column: str, pid: int) -> str:
    command = ["ps", "-o", column, "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
