"""Rows on their way into the database, while that is well, away or slow."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from gateway.config.ledger import LedgerSpec
from gateway.ledger.journal import TAKEN_ROWS
from gateway.ledger.ledger import Ledger
from gateway.ledger.writer import BACK_OFF_S, FLUSH_S, JITTER, Writer
from gateway.stores.errors import StoreDownError
from gateway.stores.ledger import LedgerExchange, LedgerStore, UsageQuery
from tests.plugins.bookings import (
    at_once,
    begin,
    files_grow,
    finish,
    no_file_grows,
)
from tests.plugins.chain import LogLines
from tests.plugins.ledgers import FickleLedgerStore, new_row
from tests.plugins.scene import eventually
from tests.unit.ledger.conftest import OpenJournal, kill, write_begin, write_whole


def names_in(directory: Path) -> list[str]:
    """What is there."""
    return [path.name for path in directory.iterdir()]


@pytest.fixture
def ledger(open_journal: OpenJournal, log_lines: LogLines) -> Ledger:  # noqa: ARG001 - for its lines
    """An open ledger with the usual settings."""
    made = Ledger(LedgerSpec(), soon=at_once)
    made.open(open_journal("own"))
    return made


@pytest.fixture
def store() -> FickleLedgerStore:
    """A store that does as it is told."""
    return FickleLedgerStore()


@pytest.fixture
async def writer(ledger: Ledger, store: FickleLedgerStore) -> AsyncIterator[Writer]:
    """Between the two."""

    async def open_store() -> LedgerStore:
        return store

    made = Writer(ledger, open_store)
    yield made
    await made.close()


async def test_what_ended_is_in_the_store(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """And nothing waits in the journal then; what has not ended is not there yet."""
    finish(begin(ledger))
    under_way = begin(ledger)

    assert await writer.flush() == FLUSH_S

    assert [row.outcome for row in store.rows.values()] == ["finished"]
    assert ledger.journal.backlog_bytes == 0
    finish(under_way)
    await writer.flush()
    assert len(store.rows) == 2


async def test_what_ends_while_a_batch_is_written_waits_for_the_next(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """A gateway at work would write all the time, a few rows in each transaction."""
    finish(begin(ledger))
    store.gate.clear()
    flushing = asyncio.ensure_future(writer.flush())
    await eventually(lambda: store.saves == 1)
    finish(begin(ledger))
    store.gate.set()
    await flushing

    assert (store.saves, len(store.rows)) == (1, 1)
    await writer.flush()
    assert (store.saves, len(store.rows)) == (2, 2)


async def test_nothing_to_write_is_no_question(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """An idle gateway leaves its database alone."""
    begin(ledger)
    for _ in range(3):
        await writer.flush()

    assert store.saves == 0


async def test_a_store_that_is_away_gets_its_rows_when_it_is_back(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer, log_lines: LogLines
) -> None:
    """J07, J08: each once; one line when it goes and one when it comes."""
    store.is_down = True
    waits = []
    for _ in range(8):
        finish(begin(ledger))
        waits.append(await writer.flush())
    assert store.rows == {}
    assert ledger.counts.is_store_down
    store.is_down = False

    await writer.flush()

    assert len(store.rows) == 8
    assert ledger.counts.backlog_bytes == 0
    assert not ledger.counts.is_store_down
    assert len(log_lines.find("ledger.store_down")) == len(log_lines.find("ledger.store_up")) == 1
    for wait_s, usual_s in zip(waits, (*BACK_OFF_S, BACK_OFF_S[-1], BACK_OFF_S[-1]), strict=True):
        assert usual_s * (1 - JITTER) <= wait_s <= usual_s * (1 + JITTER)
    assert await writer.flush() == FLUSH_S


async def test_a_commit_that_was_not_heard_of_books_nothing_twice(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """J08: the connection ended between the commit and its answer."""
    finish(begin(ledger))
    store.fails_after_commit = True
    await writer.flush()
    assert ledger.journal.backlog_bytes > 0
    store.fails_after_commit = False

    await writer.flush()

    assert len(store.rows) == 1
    assert ledger.journal.backlog_bytes == 0


async def test_what_others_have_left_is_brought_in(
    ledger: Ledger,
    store: FickleLedgerStore,
    writer: Writer,
    open_journal: OpenJournal,
    log_lines: LogLines,
    tmp_path: Path,
) -> None:
    """K02: with its lost ones, once, and its files are gone."""
    dead = open_journal("dead")
    write_whole(dead, new_row("a"), new_row("b"))
    write_begin(dead, new_row("c"))
    kill(dead)
    store.is_down = True
    await writer.flush()
    store.is_down = False
    finish(begin(ledger))

    await writer.flush()

    assert {row.id: row.outcome for row in store.rows.values() if len(row.id) == 1} == {
        "a": "finished",
        "b": "finished",
        "c": "lost",
    }
    assert len(store.rows) == 4
    (line,) = log_lines.find("ledger.recovered")
    assert (line["journal"], line["settled"], line["lost"], line["damaged"]) == ("dead", 2, 1, 0)
    assert names_in(tmp_path) == ["own"]


async def test_what_cannot_be_read_keeps_nobody_out(
    ledger: Ledger,
    store: FickleLedgerStore,
    writer: Writer,
    open_journal: OpenJournal,
    log_lines: LogLines,
) -> None:
    """One bad file of a dead process took no row of any other to the database, for ever."""
    dead, bad = open_journal("a-dead"), open_journal("bad")
    write_whole(dead, new_row("a"))
    (bad.path / "00000002.journal").mkdir()
    kill(dead)
    kill(bad)
    finish(begin(ledger))

    assert await writer.flush() == FLUSH_S

    assert len(store.rows) == 2
    assert writer.caught_up.is_set()
    (line,) = log_lines.find("ledger.journal_unreadable")
    assert (line["journal"], line["reason"]) == ("bad", "Is a directory")
    assert bad.path.is_dir()


async def test_rows_that_no_file_takes_go_straight_to_the_store(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """J11: a full disk here is no full disk there."""
    no_file_grows()
    for _ in range(3):
        finish(begin(ledger))
    await writer.flush()
    files_grow()

    assert len(store.rows) == 3
    assert ledger.counts.held == 0


async def test_rows_that_neither_takes_wait_for_whichever_comes_first(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """J11 with J07: and are booked once."""
    store.is_down = True
    no_file_grows()
    finish(begin(ledger))
    await writer.flush()
    assert ledger.counts.held == 1
    finish(begin(ledger))
    files_grow()
    await writer.flush()
    assert ledger.counts.held == 0
    store.is_down = False

    await writer.flush()

    assert len(store.rows) == 2


class TightStore(FickleLedgerStore):
    """Has room for five rows, and for no more than two in a transaction."""

    @override
    async def save(self, exchanges: Sequence[LedgerExchange]) -> None:
        self.is_down = len(exchanges) > 2 or len(self.rows) + len(exchanges) > 5
        await super().save(exchanges)


async def test_what_is_held_goes_into_what_room_there_is(ledger: Ledger) -> None:
    """J11: a disk that is nearly full takes few rows at a time; the others are held on."""
    store = TightStore()

    async def open_store() -> LedgerStore:
        return store

    writer = Writer(ledger, open_store)
    no_file_grows()
    for _ in range(8):
        finish(begin(ledger))
    await writer.flush()
    held_before = ledger.counts.held
    await writer.save_held()
    files_grow()

    assert held_before == 8
    assert (len(store.rows), ledger.counts.held) == (5, 3)
    await writer.close()


async def test_a_store_that_cannot_be_opened_is_tried_again(
    ledger: Ledger, store: FickleLedgerStore, log_lines: LogLines
) -> None:
    """J07: a gateway starts without its database, and books when that is there."""
    is_there = False

    async def open_store() -> LedgerStore:
        if not is_there:
            raise StoreDownError("db: Connection refused")
        return store

    writer = Writer(ledger, open_store)
    finish(begin(ledger))
    await writer.flush()
    await writer.flush()
    assert len(log_lines.find("ledger.store_down")) == 1
    is_there = True

    await writer.flush()

    assert len(store.rows) == 1
    assert len(log_lines.find("ledger.store_up")) == 1


async def test_cancelled_anywhere_it_loses_nothing(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """A stop that cannot wait for a slow store (J07)."""
    for _ in range(3):
        finish(begin(ledger))
        store.gate.clear()
        flushing = asyncio.ensure_future(writer.flush())
        before = store.saves
        await eventually(lambda: store.saves > before, "the store is asked")  # noqa: B023 - now
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
    assert ledger.journal.backlog_bytes > 0
    store.gate.set()

    await writer.flush()

    assert len(store.rows) == 3
    assert ledger.journal.backlog_bytes == 0


async def test_two_who_ask_it_to_write_write_each_row_once(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """One batch at a time, so that none is forgotten when the store fails."""
    for _ in range(3):
        finish(begin(ledger))
    store.gate.clear()
    store.is_down = True
    flushing = [asyncio.ensure_future(writer.flush()) for _ in range(3)]
    await eventually(lambda: store.saves > 0, "the store is asked")
    finish(begin(ledger))
    store.gate.set()
    await asyncio.gather(*flushing)
    store.is_down = False

    await writer.flush()

    assert len(store.rows) == 4
    assert ledger.journal.backlog_bytes == 0


async def test_many_rows_do_not_wait(ledger: Ledger, store: FickleLedgerStore) -> None:
    """A second of much traffic is not kept in memory for two; but while the store is down it is."""

    async def open_store() -> LedgerStore:
        return store

    writer = Writer(ledger, open_store, flush_s=1000)
    running = asyncio.ensure_future(writer.run())
    await eventually(lambda: not store.saves, "it waits")
    for _ in range(TAKEN_ROWS):
        finish(begin(ledger))
    await eventually(lambda: len(store.rows) == TAKEN_ROWS, "it has written")
    store.is_down = True
    for _ in range(TAKEN_ROWS + 10):
        finish(begin(ledger))
    await eventually(lambda: ledger.store.is_failing, "it has tried")
    saves = store.saves
    for _ in range(100):
        finish(begin(ledger))
        await asyncio.sleep(0)

    assert store.saves == saves
    writer.stop()
    await running


async def test_who_asks_for_sums_gets_those_of_now(
    ledger: Ledger, store: FickleLedgerStore, writer: Writer
) -> None:
    """Not of two seconds ago: budgets of a Redis that was flushed begin there (J03)."""
    finish(begin(ledger))
    await writer.fetch_usage(UsageQuery(()))
    assert len(store.rows) == 1
    finish(begin(ledger))

    await writer.fetch_spent(0, 1)

    assert len(store.rows) == 2


async def test_it_writes_by_itself_until_it_is_stopped(
    ledger: Ledger, store: FickleLedgerStore
) -> None:
    """And stops at once when it has nothing to do."""

    async def open_store() -> LedgerStore:
        return store

    writer = Writer(ledger, open_store, flush_s=0.001)
    running = asyncio.ensure_future(writer.run())
    finish(begin(ledger))
    await eventually(lambda: bool(store.rows), "it is written")
    writer.stop()
    async with asyncio.timeout(10):
        await running


async def test_lines_that_cannot_be_read_are_counted_and_kept(
    open_journal: OpenJournal, log_lines: LogLines, tmp_path: Path
) -> None:
    """A disk that gives back something else than it was given; the rows around them are booked."""
    ledger, store = Ledger(LedgerSpec(), soon=at_once), FickleLedgerStore()
    ledger.open(open_journal("own", fresh_rows=1))

    async def open_store() -> LedgerStore:
        return store

    writer = Writer(ledger, open_store)
    write_whole(ledger.journal, new_row("a"), new_row("b"), new_row("c"))
    (path,) = ledger.journal.path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content.replace(b'["end","b"', b'["end","B"'))

    await writer.flush()
    await writer.flush()

    assert sorted(store.rows) == ["a", "c"]
    (line,) = log_lines.find("ledger.damaged")
    assert (line["level"], line["lines"], line["journal"]) == ("error", 1, "own")
    ledger.journal.close()
    await writer.close()
    kept = tmp_path / "own.damaged" / "00000001.damaged"
    assert b'["end","B"' in kept.read_bytes()
