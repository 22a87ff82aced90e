"""What a process uses of its machine, read from the real one and from files that say odd things."""

import os
import socket
from pathlib import Path

import pytest

from gateway.overload.machine import (
    Machine,
    count_open_files,
    find_memory_limit,
    read_resident_bytes,
)

MIB = 1024 * 1024


def test_the_real_machine_is_read() -> None:
    """On Linux all of it is known, and none of it is absurd."""
    reading = Machine(workers=2).read()

    assert reading.resident_bytes is not None
    assert 10 * MIB < reading.resident_bytes < 4096 * MIB
    assert reading.memory_bytes is not None
    assert reading.memory_bytes > 100 * MIB
    assert reading.file_limit is None or reading.file_limit > 64


def test_several_workers_share_the_memory() -> None:
    """Each of four that took 85 % would be three too many."""
    alone, one_of_four = Machine().read().memory_bytes, Machine(workers=4).read().memory_bytes

    assert alone is not None
    assert one_of_four == alone // 4


def test_open_files_are_counted() -> None:
    """Exactly, or by a few too few where closed ones lie between."""
    before = count_open_files()
    opened = [socket.socket() for _ in range(50)]

    after = count_open_files()

    assert before is not None
    assert after is not None
    assert 40 <= after - before <= 50
    for one in opened:
        one.close()


def test_without_a_count_the_next_number_says_how_many(tmp_path: Path) -> None:
    """Linux before 6.2 says nothing of it."""
    (tmp_path / "fd").write_bytes(b"")  # of no size
    following = os.open(os.devnull, os.O_RDONLY)
    os.close(following)

    assert count_open_files(tmp_path) == following


def test_a_container_s_limit_counts_and_max_is_none(tmp_path: Path) -> None:
    """The machine may have a hundred times of it."""
    second = tmp_path / "memory.max"
    first = tmp_path / "memory" / "memory.limit_in_bytes"
    first.parent.mkdir()
    second.write_text(f"{512 * MIB}\n")
    first.write_text("9223372036854771712\n")
    assert find_memory_limit(tmp_path, tmp_path) == 512 * MIB

    second.write_text("max\n")
    assert find_memory_limit(tmp_path, tmp_path) == find_memory_limit(tmp_path, tmp_path / "none")


@pytest.mark.parametrize(
    ("groups", "limits", "found"),
    [
        # MemoryMax= and MemoryHigh= of a unit: beyond the second one it is slowed down.
        ("0::/system.slice/it.service\n", {"system.slice/it.service/memory.max": 256}, 256),
        ("0::/system.slice/it.service\n", {"system.slice/it.service/memory.high": 192}, 192),
        # What it is part of has less.
        (
            "0::/system.slice/it.service\n",
            {"system.slice/it.service/memory.max": 256, "system.slice/memory.max": 128},
            128,
        ),
        # Version 1, beside a second one that has no memory to give.
        (
            "9:memory:/it\n2:cpu,cpuacct:/other\n0::/it\n",
            {"memory/it/memory.limit_in_bytes": 64, "memory/other/memory.limit_in_bytes": 32},
            64,
        ),
        # A container that sees what its host calls it.
        ("4:cpu,memory:/docker/0123\n", {"memory/memory.limit_in_bytes": 96}, 96),
        ("0::/../..\n", {"memory.max": 48}, 48),
    ],
)
def test_the_limit_of_a_service_counts(
    tmp_path: Path, groups: str, limits: dict[str, int], found: int
) -> None:
    """One that takes itself for alone on a large machine is killed before it sheds anything."""
    cgroups = tmp_path / "a" / "b" / "cgroup"
    (tmp_path / "cgroup").write_text(groups)
    for name, mib in limits.items():
        path = cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{mib * MIB}\n")

    assert find_memory_limit(tmp_path, cgroups) == found * MIB


def test_a_system_that_says_nothing_stops_nobody(tmp_path: Path) -> None:
    """There is no /proc on macOS, and a gateway there is no less one."""
    assert read_resident_bytes(tmp_path) is None
    assert count_open_files(tmp_path) is None
