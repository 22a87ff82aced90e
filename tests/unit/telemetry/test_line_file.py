"""Whole lines, however many write them and whatever happens to the file."""

import errno
import fcntl
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.telemetry.line_file import LineFile

ROOT = Path(__file__).parents[3]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let the disk be full there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def open_file(path: Path) -> int:
    """Open a file to append to."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def test_lines_arrive_in_their_order(tmp_path: Path) -> None:
    """Also more of them than fit into one write."""
    lines = [b"%d %b\n" % (number, b"x" * 1_000) for number in range(200)]
    descriptor = open_file(tmp_path / "log")
    file = LineFile(descriptor)

    file.put(lines)
    file.write()
    os.close(descriptor)

    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    assert file.left_bytes == 0


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_full_disk_costs_no_line(tmp_path: Path, *, is_shared: bool) -> None:
    """What was cut off goes on; where others write too it is written anew on a line of its own."""
    descriptor = open_file(tmp_path / "log")
    file = LineFile(descriptor, is_shared=is_shared)
    file.put([b"first\n", b"second\n", b"third\n"])

    with no_file_larger_than(9), pytest.raises(OSError, match="File too large") as refused:
        file.write()
    if is_shared:
        os.write(descriptor, b"\nof somebody else")
    file.write()
    os.close(descriptor)

    written = (tmp_path / "log").read_bytes().split(b"\n")
    assert refused.value.errno == errno.EFBIG
    assert [line for line in written if line in {b"first", b"second", b"third"}] == [
        b"first",
        b"second",
        b"third",
    ]
    assert file.left_bytes == 0


def test_what_nobody_reads_is_let_go_of_and_counted() -> None:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    file = LineFile(writer)
    file.put([b"one\n", b"two\n"])

    with pytest.raises(BrokenPipeError):
        file.write()
    os.close(writer)

    assert file.left_bytes == 8
    assert file.forget() == 2
    assert file.left_bytes == 0


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_half_line_that_stays_spoils_no_other(tmp_path: Path, *, is_shared: bool) -> None:
    """Its other half was let go of; what comes later begins on a line of its own."""
    descriptor = open_file(tmp_path / "log")
    file = LineFile(descriptor, is_shared=is_shared)
    file.put([b"first\n", b"second\n"])

    with no_file_larger_than(9), pytest.raises(OSError, match="File too large"):
        file.write()
    forgotten = file.forget()
    file.put([b"third\n"])
    with no_file_larger_than(9), pytest.raises(OSError, match="File too large"):
        file.write()
    forgotten += file.forget()
    file.put([b"fourth\n"])
    file.write()
    file.put([b"fifth\n"])
    file.write()
    os.close(descriptor)

    assert forgotten == 2
    assert (tmp_path / "log").read_bytes() == b"first\nsec\nfourth\nfifth\n"


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    """Some programs leave a terminal or pipe so, and it is the same one that we were given."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    file = LineFile(writer)
    lines = [b"%b\n" % (b"x" * 999) for _ in range(300)]
    file.put(lines)
    received: list[bytes] = []

    def read() -> None:
        while sum(map(len, received)) < 300_000:
            received.append(os.read(reader, 65_536))

    reading = threading.Thread(target=read)
    reading.start()
    file.write()
    reading.join()
    os.close(reader)
    os.close(writer)

    assert b"".join(received) == b"".join(lines)


WRITE = """
import sys
from gateway.telemetry.line_file import LineFile
file = LineFile(1, is_shared=True)
for _ in range(40):
    file.put([sys.argv[1].encode() * 9_000 + b"\\n"])  # more than PIPE_BUF
    file.write()
"""


def test_lines_of_several_processes_do_not_tear() -> None:
    """L02: a nearly full pipe takes longer ones in pieces, and another process's in between."""
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)  # full with the first line
    writing = [
        subprocess.Popen([sys.executable, "-c", WRITE, name], cwd=ROOT, stdout=writer)
        for name in "abc"
    ]
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        lines = pipe.read().split(b"\n")
    codes = [one.wait() for one in writing]

    assert codes == [0, 0, 0]
    assert lines.pop() == b""
    assert len(lines) == 120
    assert {len(line) for line in lines} == {9_000}
    assert all(len(set(line)) == 1 for line in lines)
