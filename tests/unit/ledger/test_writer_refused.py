"""Rows that the database does not take: they are set aside for a person, and keep nobody out."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from gateway.config.ledger import LedgerSpec
from gateway.ledger.ledger import Ledger
from gateway.ledger.lines import unseal
from gateway.ledger.records import decode_payload
from gateway.ledger.writer import REFUSED, Writer
from gateway.stores.errors import RowRefusedError, StoreDownError
from gateway.stores.ledger import LedgerExchange, LedgerStore
from tests.plugins.bookings import allow_file_bytes, at_once, files_grow
from tests.plugins.chain import LogLines
from tests.plugins.ledgers import FickleLedgerStore, new_row
from tests.unit.ledger.conftest import OpenJournal, kill, write_whole


@pytest.fixture
def ledger(open_journal: OpenJournal, log_lines: LogLines) -> Ledger:  # noqa: ARG001 - for its lines
    """An open ledger with the usual settings."""
    made = Ledger(LedgerSpec(), soon=at_once)
    made.open(open_journal("own"))
    return made


class ChoosyStore(FickleLedgerStore):
    """Takes no row of Mallory's."""

    sulks_after_refusing = False  # is away for every row but a refused one

    @override
    async def save(self, exchanges: Sequence[LedgerExchange]) -> None:
        if any(row.principal == "mallory" for row in exchanges):
            raise RowRefusedError("gateway.db: takes no such row (DataError)")
        if self.sulks_after_refusing:
            raise StoreDownError("gateway.db: Connection refused")
        await super().save(exchanges)


def make_writer(ledger: Ledger, store: LedgerStore) -> Writer:
    """From the one to the other."""

    async def open_store() -> LedgerStore:
        return store

    return Writer(ledger, open_store)


async def test_a_row_that_is_refused_keeps_nobody_out(
    ledger: Ledger, log_lines: LogLines, tmp_path: Path
) -> None:
    """It is set aside for a person, and the rows around it are booked."""
    store = ChoosyStore()
    writer = make_writer(ledger, store)
    bad = new_row("b", principal="mallory")
    write_whole(ledger.journal, new_row("a"), bad, new_row("c"))

    await writer.flush()

    assert sorted(store.rows) == ["a", "c"]
    assert ledger.journal.backlog_bytes == 0
    (line,) = log_lines.find("ledger.row_refused")
    assert line["id"] == "b"
    assert "mallory" not in log_lines.text
    payload = unseal((tmp_path / REFUSED).read_bytes()[:-1])
    assert payload is not None
    assert decode_payload(payload) == bad
    assert not ledger.counts.is_store_down


async def test_a_refused_row_is_set_aside_once_however_often_its_batch_is_tried(
    ledger: Ledger, log_lines: LogLines, tmp_path: Path
) -> None:
    """A database that fails at the next row made another copy at each trial, for as long."""
    store = ChoosyStore()
    store.sulks_after_refusing = True
    writer = make_writer(ledger, store)
    write_whole(ledger.journal, new_row("b", principal="mallory"), new_row("c"))
    for _ in range(3):
        await writer.flush()
    assert ledger.journal.backlog_bytes > 0
    store.sulks_after_refusing = False

    await writer.flush()

    assert sorted(store.rows) == ["c"]
    assert len((tmp_path / REFUSED).read_bytes().splitlines()) == 1
    assert len(log_lines.find("ledger.row_refused")) == 1


async def test_a_refused_row_of_a_journal_that_is_read_anew_is_set_aside_once(
    ledger: Ledger,
    open_journal: OpenJournal,
    log_lines: LogLines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where another of its files cannot be read, it is looked at again every minute."""
    monkeypatch.setattr("gateway.ledger.writer.LOOK_S", 0.0)
    store = ChoosyStore()
    writer = make_writer(ledger, store)
    dead = open_journal("dead")
    write_whole(dead, new_row("a"), new_row("b", principal="mallory"))
    (dead.path / "00000002.journal").mkdir()
    kill(dead)

    for _ in range(3):
        await writer.flush()

    assert sorted(store.rows) == ["a"]
    assert len((tmp_path / REFUSED).read_bytes().splitlines()) == 1
    assert len(log_lines.find("ledger.row_refused")) == 1


async def test_a_refused_row_that_a_full_disk_takes_in_part_is_kept(
    ledger: Ledger, tmp_path: Path
) -> None:
    """J11: what the system call did not write was taken for written, and the row was gone."""
    store = ChoosyStore()
    writer = make_writer(ledger, store)
    bad = new_row("b", principal="mallory")
    write_whole(ledger.journal, bad, new_row("c"))
    await writer.open_store()
    allow_file_bytes(40)
    try:
        await writer.flush()
    finally:
        files_grow()
    assert ledger.journal.backlog_bytes > 0

    await writer.flush()

    payload = unseal((tmp_path / REFUSED).read_bytes()[:-1])
    assert payload is not None
    assert decode_payload(payload) == bad
    assert sorted(store.rows) == ["c"]
    assert ledger.journal.backlog_bytes == 0
