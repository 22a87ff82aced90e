"""The journal of a process: what goes in comes out, and files go when nothing needs them."""

import os
import resource
from pathlib import Path

import pytest

from gateway.ledger.journal import Journal
from tests.plugins.ledgers import new_row
from tests.unit.ledger.conftest import (
    OpenJournal,
    find_left,
    kill,
    take_all,
    write_begin,
    write_end,
    write_together,
    write_whole,
)

SMALL_BYTES = 2_000  # a file has four exchanges


def files(journal: Journal) -> list[str]:
    """The names of its files."""
    return sorted(path.name for path in journal.path.iterdir())


def rows(count: int, start: int = 0) -> list:
    """Rows with different ids."""
    return [new_row(f"p-{number}") for number in range(start, start + count)]


@pytest.mark.parametrize("fresh_rows", [0, 3, 1000], ids=["from files", "both", "from memory"])
def test_every_row_comes_out_once_and_in_order(open_journal: OpenJournal, fresh_rows: int) -> None:
    """Whether it is in memory still, or has to be read from the file."""
    journal = open_journal(segment_bytes=SMALL_BYTES, fresh_rows=fresh_rows)
    taken = []
    for start in range(0, 60, 10):
        write_whole(journal, *rows(5, start))
        write_together(journal, *rows(5, start + 5))
        taken += take_all(journal)
        journal.commit()

    assert taken == rows(60)
    assert take_all(journal) == []
    assert journal.backlog_bytes == 0
    journal.close()
    assert not journal.path.exists()


@pytest.mark.parametrize("fresh_rows", [0, 1000])
def test_files_are_deleted_when_their_rows_are_committed(
    open_journal: OpenJournal, fresh_rows: int
) -> None:
    """J08: and not when they were taken."""
    journal = open_journal(segment_bytes=SMALL_BYTES, fresh_rows=fresh_rows)
    write_whole(journal, *rows(20))
    count = len(files(journal))

    taken = take_all(journal)

    assert len(taken) == 20
    assert len(files(journal)) == count > 3
    assert journal.backlog_bytes > 0
    journal.commit()
    assert len(files(journal)) == 1
    assert journal.backlog_bytes == 0


def test_what_has_not_ended_outlives_its_file(open_journal: OpenJournal, tmp_path: Path) -> None:
    """A stream of an hour keeps no file of that hour, and is not forgotten either."""
    journal = open_journal(segment_bytes=SMALL_BYTES)
    long = new_row("long")
    write_begin(journal, long)
    for start in range(0, 50, 10):
        write_whole(journal, *rows(10, start))
        take_all(journal)
        journal.commit()
    assert len(files(journal)) == 1
    assert journal.open_count == 1

    kill(journal)
    (left,) = find_left(tmp_path)
    found = take_all(left)

    assert [row.id for row in found if row.outcome == "lost"] == ["long"]
    left.remove()


def test_what_ended_is_not_carried_over(open_journal: OpenJournal, tmp_path: Path) -> None:
    """It would be booked as lost after the next crash."""
    journal = open_journal(segment_bytes=SMALL_BYTES)
    write_begin(journal, new_row("long"))
    write_whole(journal, *rows(10))
    write_end(journal, new_row("long"))
    take_all(journal)
    journal.commit()

    kill(journal)
    (left,) = find_left(tmp_path)
    take_all(left)

    assert left.lost == 0
    left.remove()


def test_what_waits_is_counted(open_journal: OpenJournal) -> None:
    """The bound of the backlog is a number of bytes on the disk."""
    journal = open_journal()
    write_whole(journal, *rows(100))
    on_disk = sum(path.stat().st_size for path in journal.path.iterdir())

    assert journal.backlog_bytes == on_disk
    take_all(journal)
    assert journal.backlog_bytes == on_disk
    journal.commit()
    assert journal.backlog_bytes == 0


def test_a_file_that_cannot_be_made_does_not_stop_the_writing(open_journal: OpenJournal) -> None:
    """When descriptors run out, the file that is there grows on."""
    journal = open_journal(segment_bytes=SMALL_BYTES)
    write_whole(journal, *rows(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - names alone
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    filler = []
    try:
        while True:
            try:
                filler.append(os.dup(0))
            except OSError:
                break
        write_whole(journal, *rows(14, 1))
        assert len(take_all(journal)) == 15
    finally:
        for descriptor in filler:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(files(journal)) == 1


def test_a_disk_that_its_own_file_has_filled_has_room_once_all_is_committed(
    open_journal: OpenJournal, tmp_path: Path
) -> None:
    """J11: a small one would stay full until the gateway is restarted."""
    journal = open_journal()
    write_begin(journal, new_row("long"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_BYTES, hard))
    try:
        with pytest.raises(OSError):
            write_whole(journal, *rows(10))
        taken = take_all(journal)
        journal.commit()
        waiting = journal.backlog_bytes

        write_whole(journal, *rows(1, 10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert taken == rows(len(taken)) != []
    assert waiting == 0  # what is carried over is no row
    assert take_all(journal) == rows(1, 10)
    journal.commit()
    assert (len(files(journal)), journal.backlog_bytes) == (1, 0)
    kill(journal)
    (left,) = find_left(tmp_path)
    assert "long" in {row.id for row in take_all(left) if row.outcome == "lost"}
    left.remove()


def test_a_full_disk_has_room_also_where_the_last_of_many_is_committed_later(
    open_journal: OpenJournal,
) -> None:
    """J11: after a database was gone there is more than is taken at a time."""
    journal = open_journal()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500 * SMALL_BYTES // 4, hard))
    try:
        with pytest.raises(OSError):
            write_whole(journal, *rows(3_000))
        while journal.take():
            journal.commit()
        journal.commit()

        write_whole(journal, new_row("last"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [row.id for row in take_all(journal)] == ["last"]


def test_every_file_that_was_written_is_synced(open_journal: OpenJournal) -> None:
    """And the directory when a file is new, or a power failure takes the name."""
    journal = open_journal(segment_bytes=SMALL_BYTES)
    first = journal.take_unsynced()
    write_whole(journal, *rows(10))
    second = journal.take_unsynced()
    third = journal.take_unsynced()

    for descriptor in (*first, *second, *third):
        os.close(descriptor)
    assert len(first) == 1  # the directory
    assert len(second) == len(files(journal)) + 1
    assert third == []
    assert journal.is_synced


def test_damage_is_counted_and_kept(open_journal: OpenJournal) -> None:
    """J13: a disk that forgets must not look like a day without traffic."""
    journal = open_journal(segment_bytes=SMALL_BYTES, fresh_rows=0)
    write_whole(journal, *rows(10))
    oldest = journal.path / files(journal)[0]
    content = bytearray(oldest.read_bytes())
    content[400] ^= 1
    oldest.write_bytes(content)

    taken = take_all(journal)
    journal.commit()

    assert len(taken) == 9 or journal.damaged == 1
    assert journal.damaged == 1
    assert files(journal)[0] == "00000001.damaged"
    journal.close()
    assert (journal.path.with_suffix(".damaged") / "00000001.damaged").exists()


def test_what_is_not_committed_is_there_after_the_end(
    open_journal: OpenJournal, tmp_path: Path
) -> None:
    """A gateway that stops while the database is away keeps its rows."""
    journal = open_journal()
    write_whole(journal, *rows(3))
    assert len(journal.take()) == 3

    journal.close()

    (left,) = find_left(tmp_path)
    assert take_all(left) == rows(3)
    left.remove()
