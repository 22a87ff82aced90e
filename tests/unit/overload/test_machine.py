"""What a process uses of its machine, read from the real one and from files that say odd things."""

import os
import socket
from pathlib import Path

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
    lowest = os.open(os.devnull, os.O_RDONLY)

    assert count_open_files(tmp_path) == lowest + 1
    os.close(lowest)


def test_a_container_s_limit_counts_and_max_is_none(tmp_path: Path) -> None:
    """The machine may have a hundred times of it."""
    second, first = tmp_path / "memory.max", tmp_path / "limit_in_bytes"
    second.write_text(f"{512 * MIB}\n")
    first.write_text("9223372036854771712\n")
    assert find_memory_limit((second, first)) == 512 * MIB

    second.write_text("max\n")
    assert find_memory_limit((second, first)) == find_memory_limit(())


def test_a_system_that_says_nothing_stops_nobody(tmp_path: Path) -> None:
    """There is no /proc on macOS, and a gateway there is no less one."""
    assert read_resident_bytes(tmp_path) is None
    assert count_open_files(tmp_path) is None
