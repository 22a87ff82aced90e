"""Whoever asks for sums has in them what has ended, and takes nothing from anybody."""

from pathlib import Path

import pytest

from gateway.ledger.bringing_in import bring_in, read_ended
from gateway.ledger.lines import seal
from gateway.stores.ledger import UsageQuery
from gateway.stores.sql_ledger import SqlLedgerStore
from tests.plugins.ledgers import new_row
from tests.unit.ledger.conftest import OpenJournal, kill, take_all, write_begin, write_whole

ALL = UsageQuery(())
TOO_LARGE = 2**63


def ids(parent: Path) -> list[str]:
    """What is read, in its order."""
    return [row.id for rows in read_ended(parent) for row in rows]


async def count(store: SqlLedgerStore) -> int:
    """How many exchanges the database has."""
    return sum(row.requests for row in await store.fetch_usage(ALL))


async def test_a_live_journal_is_read_and_stays(
    open_journal: OpenJournal, ledger_store: SqlLedgerStore, tmp_path: Path
) -> None:
    """Its owner brings every row again, and each counts once; what has not ended is its alone."""
    journal = open_journal(segment_bytes=2_000)
    rows = [new_row(f"p-{number}") for number in range(20)]
    write_begin(journal, new_row("under-way"))
    write_whole(journal, *rows)

    await bring_in(tmp_path, ledger_store)
    await bring_in(tmp_path, ledger_store)
    assert await count(ledger_store) == 20

    taken = take_all(journal)
    await ledger_store.save(taken)
    assert (taken, await count(ledger_store)) == (rows, 20)
    assert journal.open_count == 1


def test_what_a_dead_process_left_is_read_too(open_journal: OpenJournal, tmp_path: Path) -> None:
    """It may be a minute until another brings it in; the line that it was writing is none."""
    journal = open_journal()
    write_whole(journal, new_row("a"))
    kill(journal)
    (file,) = tmp_path.glob("*/*.journal")
    with file.open("ab") as end:
        end.write(seal(b"torn")[:-3])

    assert ids(tmp_path) == ["a"]


def test_where_there_is_no_journal_there_is_nothing(tmp_path: Path) -> None:
    """A directory that was set aside, or a file beside them, is no journal."""
    (tmp_path / "a.damaged").mkdir()
    (tmp_path / "refused.journal").write_bytes(b"")

    assert (ids(tmp_path), ids(tmp_path / "missing")) == ([], [])


@pytest.mark.parametrize("ledger_address", ["sqlite"], indirect=True)
async def test_a_row_that_is_refused_keeps_no_other_out(
    open_journal: OpenJournal, ledger_store: SqlLedgerStore, tmp_path: Path
) -> None:
    """Its owner sets it aside."""
    journal = open_journal()
    write_whole(journal, new_row("a"), new_row("b", bytes_in=TOO_LARGE), new_row("c"))

    await bring_in(tmp_path, ledger_store)

    assert await count(ledger_store) == 2
