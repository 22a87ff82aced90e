"""The machine: its cores, its limits, and what a reader must know about it.

The rule here: what the machine does not allow is said in the report, never passed over.
"""

import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.accounting import cpu_clock

PACKAGES = ("aiohttp", "uvloop", "httptools")
# A relay holds two sockets for each stream; everything else it has open fits in the rest.
FILES_PER_STREAM = 2
OTHER_FILES = 512


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores belong to whom; empty: the operating system decides."""

    system: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()


def choose_cores() -> Cores:
    """One core for the system under test, one for the upstream and the load."""
    if not hasattr(os, "sched_setaffinity"):
        return Cores()
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        return Cores()
    return Cores(frozenset(allowed[:1]), frozenset(allowed[1:2]))


@contextmanager
def pinned_to(cores: frozenset[int]) -> Iterator[None]:
    """Put ourselves on these cores; a child started meanwhile stays there."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_open_files() -> int:
    """Raise our limit of open files, which children inherit, as far as we may; the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS refuses what is above kern.maxfilesperproc, whatever it says is the hard limit.
        for limit in (wanted, 24_576, 10_240):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, wanted), hard))
            except (OSError, ValueError):
                continue
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def most_streams(open_files: int) -> int:
    """How many streams a relay can hold with this limit of open files."""
    return (open_files - OTHER_FILES) // FILES_PER_STREAM


def describe_machine(cores: Cores, nginx_version: str) -> list[tuple[str, str]]:
    """What the figures were measured on, as names and values."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        ("cores", f"{os.cpu_count()}; {_describe_pinning(cores)}"),
        ("processor", _processor()),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("load average before", " ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("Python", f"{platform.python_implementation()} {sys.version.split()[0]}"),
        ("packages", packages),
        ("nginx", nginx_version),
        ("CPU time from", cpu_clock()),
    ]


def _describe_pinning(cores: Cores) -> str:
    if not cores.system:
        return "nothing is pinned, because there is one core or no way to do it: expect more noise"
    ours, theirs = min(cores.system), min(cores.others)
    return f"the system under test on core {ours}, upstream and load on core {theirs}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown"
