"""The writing thread: nobody waits for it, and what it cannot write is counted."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.telemetry.line_file import LineFile
from gateway.telemetry.log_writer import LogWriter

TIMEOUT_S = 10
LINE = b"x" * 999 + b"\n"
PIPE_BYTES = 65_536


class Pipe:
    """A consumer that reads when it is told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.read = b""

    def read_until(self, ending: bytes) -> bytes:
        """Read on until this was read."""
        while not self.read.endswith(ending):
            self.read += os.read(self.reader, PIPE_BYTES)
        return self.read


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that is closed after the test."""
    made = Pipe()
    yield made
    for descriptor in (made.reader, made.writer):
        os.close(descriptor)


def test_lines_are_written_in_their_order(pipe: Pipe) -> None:
    """Those of several turns as well."""
    writer = LogWriter(LineFile(pipe.writer))

    for number in range(100):
        writer.put(b"%d\n" % number)
    writer.close(TIMEOUT_S)

    assert pipe.read_until(b"99\n").split() == [b"%d" % number for number in range(100)]
    assert writer.dropped == 0


def test_a_consumer_that_has_stopped_holds_up_nobody(pipe: Pipe) -> None:
    """What it does not take waits up to a bound; the rest is counted, and said when it is back."""
    told: list[tuple[int, float]] = []
    is_told = threading.Event()
    writer = LogWriter(LineFile(pipe.writer), max_bytes=100_000)

    def tell(count: int, for_s: float) -> None:
        told.append((count, for_s))
        writer.put(b"missing: %d\n" % count)  # over the bound, and written all the same
        is_told.set()

    writer.when_back = tell
    for _ in range(300):
        writer.put(LINE)
    dropped = writer.dropped
    read = pipe.read_until(b"missing: %d\n" % dropped)
    assert is_told.wait(TIMEOUT_S)
    writer.close(TIMEOUT_S)

    assert 300 - (100_000 + 2 * PIPE_BYTES) // 1_000 <= dropped <= 200
    assert read.count(LINE) == 300 - dropped
    assert [count for count, _ in told] == [dropped]


def test_the_end_is_not_held_up_either(pipe: Pipe) -> None:
    """A process that cannot end because of its log is killed, and loses more than lines."""
    writer = LogWriter(LineFile(pipe.writer))
    for _ in range(100):
        writer.put(LINE)

    flushed = writer.flush(0.01)
    writer.close(0.01)

    assert not flushed
    os.read(pipe.reader, 1_000_000)  # lets the thread go on to its end


def test_a_reader_that_has_gone_costs_lines_and_nothing_else() -> None:
    """EPIPE: nobody will ever read them."""
    reader, descriptor = os.pipe()
    os.close(reader)
    writer = LogWriter(LineFile(descriptor))

    for _ in range(3):
        writer.put(LINE)
        writer.flush(TIMEOUT_S)
    writer.close(TIMEOUT_S)
    os.close(descriptor)

    assert writer.dropped == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_waited_for_up_to_the_bound() -> None:
    """ENOSPC: somebody may make room, until the end."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(LineFile(descriptor), max_bytes=10_000)

    for _ in range(15):
        writer.put(LINE)
    dropped = writer.dropped
    writer.close(0.01)
    writer.close(TIMEOUT_S)  # the thread has ended by then
    os.close(descriptor)

    assert dropped == 5
    assert writer.dropped == 15


def test_the_bound_may_be_changed(pipe: Pipe) -> None:
    """By a reload."""
    writer = LogWriter(LineFile(pipe.writer), max_bytes=10)
    writer.put(LINE)
    writer.max_bytes = 100_000
    writer.put(LINE)
    writer.close(TIMEOUT_S)

    assert pipe.read_until(b"\n").count(LINE) == 1
    assert writer.dropped == 1


def test_a_line_may_come_while_another_is_taken(pipe: Pipe) -> None:
    """Python collects garbage wherever it is, and asyncio logs what it finds in it."""
    writer = LogWriter(LineFile(pipe.writer))

    inside = [b"from inside\n"]

    class Collecting(bytes):
        """A line whose size is asked for while the writer is locked."""

        __slots__ = ()

        def __len__(self) -> int:
            if inside:
                writer.put(inside.pop())
            return super().__len__()

    writer.put(Collecting(b"from outside\n"))
    writer.close(TIMEOUT_S)

    assert set(pipe.read_until(b"outside\n").splitlines()) == {b"from inside", b"from outside"}
