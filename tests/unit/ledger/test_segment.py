"""One file of a journal, on disks that are full or tear lines."""

import errno
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ledger.records import encode_line
from gateway.ledger.segment import Segment
from tests.plugins.ledgers import new_row

LINE = encode_line(new_row())


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    """A new file."""
    made = Segment.create(tmp_path / "00000001.journal")
    yield made
    made.close()


@pytest.fixture
def full_at() -> Iterator[object]:
    """Lets files of this process grow to so many bytes and no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def set_limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield set_limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_lines_come_back_in_their_order(segment: Segment) -> None:
    """And each once."""
    rows = [new_row(f"p-{number}") for number in range(3)]
    for row in rows:
        segment.append(encode_line(row))

    assert segment.read() == rows
    assert segment.is_read
    assert segment.read() is None


def test_the_file_is_its_owners_alone(segment: Segment) -> None:
    """It says who asked whom."""
    assert stat.S_IMODE(segment.path.stat().st_mode) == 0o600


def test_a_line_that_did_not_fit_is_taken_back(segment: Segment, full_at) -> None:
    """J11: the kernel takes half a line when the disk is full in the middle of it."""
    segment.append(LINE)
    full_at(len(LINE) + 100)

    with pytest.raises(OSError, match="No space left"):
        segment.append(LINE)
    with pytest.raises(OSError) as failed:
        segment.append(LINE * 2)

    assert failed.value.errno in {errno.EFBIG, errno.ENOSPC}
    assert segment.path.stat().st_size == segment.size_bytes == len(LINE)
    full_at(resource.RLIM_INFINITY)
    segment.append(LINE)
    assert segment.read() == [new_row(), new_row()]
    assert segment.damaged == 0


def test_what_cannot_be_taken_back_spoils_no_other_line(tmp_path: Path) -> None:
    """Some file systems cannot truncate when they are full."""
    path = tmp_path / "00000001.journal"
    segment = Segment.create(path)
    os.write(segment.descriptor, LINE[:50])
    segment.size_bytes = 50
    segment._is_torn = True  # noqa: SLF001 - no file system of a test's refuses to truncate

    segment.append(LINE)

    assert segment.read() == [new_row()]
    assert segment.damaged == 1
    segment.remove()
    assert [one.name for one in tmp_path.iterdir()] == ["00000001.damaged"]


def test_a_torn_end_is_skipped_and_said(tmp_path: Path) -> None:
    """The process died while it wrote."""
    path = tmp_path / "00000001.journal"
    path.write_bytes(LINE + LINE[:-1])
    segment = Segment.open(path)

    assert segment.read() == [new_row()]
    assert segment.read() is None
    assert segment.skip_rest() == len(LINE) - 1
    assert (segment.is_read, segment.damaged) == (True, 0)
    segment.remove()
    assert not path.exists()
