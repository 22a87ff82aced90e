"""A ledger from its settings, and back to nothing."""

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config.ledger import LedgerSpec
from gateway.config.stores import StoresSpec
from gateway.ledger.ledger import Ledger
from gateway.ledger.opening import keep_ledger, make_journal
from gateway.ledger.writer import Writer
from gateway.stores.errors import SchemaError, StoreError
from gateway.stores.ledger import UsageQuery
from tests.plugins.bookings import at_once, begin, files_grow, finish, no_file_grows
from tests.plugins.chain import LogLines
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.stored_keys import make_tables, spec_of


@pytest.fixture(autouse=True)
def files_grow_afterwards() -> Iterator[None]:
    """The limit is the whole process's."""
    yield
    files_grow()


def never(task: str, error: BaseException) -> None:
    """No task may crash."""
    raise AssertionError(f"{task}: {error!r}")


def spec_in(directory: Path) -> LedgerSpec:
    """The usual settings."""
    return LedgerSpec().placed_in(directory)


def store_in(directory: Path) -> StoresSpec:
    """A file there."""
    return StoresSpec(database=f"sqlite:///{directory / 'gateway.db'}")


@asynccontextmanager
async def kept(
    directory: Path, stores: StoresSpec, **parts: float
) -> AsyncIterator[tuple[Ledger, Writer]]:
    """A ledger that is kept."""
    spec = spec_in(directory)
    ledger = Ledger(spec, soon=at_once)
    async with keep_ledger(ledger, spec, stores, never, **parts) as writer:
        yield ledger, writer


async def count_in(directory: Path, stores: StoresSpec) -> int:
    """How many exchanges are in the database, as the next gateway sees it."""
    async with kept(directory, stores) as (_, writer):
        await writer.flush()
        (row,) = await writer.fetch_usage(UsageQuery(()))
    return row.requests


def names_in(directory: Path) -> set[str]:
    """What is there."""
    return {path.name for path in directory.iterdir()}


async def test_what_ended_is_in_the_database_when_the_gateway_has_stopped(
    tmp_path: Path,
) -> None:
    """And nothing is left in the directory of journals."""
    async with kept(tmp_path, store_in(tmp_path)) as (ledger, _):
        for _ in range(3):
            finish(begin(ledger))

    assert await count_in(tmp_path, store_in(tmp_path)) == 3
    assert names_in(tmp_path / "gateway.journal") == set()


async def test_a_database_that_is_away_stops_no_start_and_loses_nothing(
    tmp_path: Path, postgresql: PostgresqlServer, log_lines: LogLines
) -> None:
    """J07: what ends meanwhile is brought in by the next gateway, without its password."""
    away = StoresSpec(database="postgresql://gateway:${PG}@127.0.0.1:1/gateway")
    os.environ["PG"] = "canary-password"
    try:
        async with kept(tmp_path, away) as (ledger, _):
            finish(begin(ledger))
    finally:
        del os.environ["PG"]
    assert len(names_in(tmp_path / "gateway.journal")) == 1
    back = spec_of(postgresql.make_database())
    await make_tables(back)

    assert await count_in(tmp_path, back) == 1
    assert names_in(tmp_path / "gateway.journal") == set()
    assert "canary-password" not in log_lines.text
    assert len(log_lines.find("ledger.store_down")) == 1


async def test_a_frozen_database_holds_up_no_stop(
    tmp_path: Path, postgresql: PostgresqlServer, log_lines: LogLines
) -> None:
    """J07: it answers nobody and closes nothing; the journal keeps what it did not take."""
    stores = spec_of(postgresql.make_database())
    await make_tables(stores)
    try:
        async with asyncio.timeout(30), kept(tmp_path, stores, stop_s=0.2) as (ledger, writer):
            await writer.flush()
            postgresql.freeze()
            finish(begin(ledger))
    finally:
        postgresql.thaw()

    assert len(names_in(tmp_path / "gateway.journal")) == 1
    assert await count_in(tmp_path, stores) == 1
    assert "Traceback" not in log_lines.text


async def test_what_a_full_disk_keeps_out_at_the_stop_is_said(
    tmp_path: Path, log_lines: LogLines
) -> None:
    """J11: neither database nor journal takes it, so the log is where an operator finds it."""
    async with kept(tmp_path, store_in(tmp_path)) as (ledger, writer):
        finish(begin(ledger))
        await writer.flush()
        begun = begin(ledger)
        no_file_grows()
        finish(begun)
        finish(begin(ledger))
    files_grow()

    assert await count_in(tmp_path, store_in(tmp_path)) == 2  # the one that had begun is lost
    (line,) = log_lines.find("ledger.given_up")
    assert (line["count"], line["lost"], ledger.unwritten) == (2, 1, 2)
    assert len(log_lines.find("ledger.row_given_up")) == 2


async def test_what_is_in_memory_at_the_stop_goes_where_there_is_room(
    tmp_path: Path, log_lines: LogLines
) -> None:
    """J11: there was none while it ran."""
    async with kept(tmp_path, store_in(tmp_path)) as (ledger, _):
        no_file_grows()
        finish(begin(ledger))
        files_grow()

    assert await count_in(tmp_path, store_in(tmp_path)) == 1
    assert log_lines.find("ledger.given_up") == []
    assert ledger.unwritten == 0


async def test_other_tables_stop_the_start(tmp_path: Path) -> None:
    """J15: rows would wait for ever."""
    with sqlite3.connect(tmp_path / "gateway.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()

    with pytest.raises(SchemaError, match="has schema 9999, newer than"):
        async with kept(tmp_path, store_in(tmp_path)):
            raise AssertionError("it began")

    assert not (tmp_path / "gateway.journal").exists()


@pytest.mark.parametrize("kept_bytes", [0, 4096])
async def test_a_damaged_database_stops_the_start(tmp_path: Path, kept_bytes: int) -> None:
    """J13: it never comes back, and rows would wait for ever."""
    async with kept(tmp_path, store_in(tmp_path)) as (ledger, _):
        finish(begin(ledger))
    file = tmp_path / "gateway.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:kept_bytes] + b"no database" * ((len(whole) - kept_bytes) // 11))

    with pytest.raises(StoreError, match=r"gateway\.db: .*; go back to a backup, or move the file"):
        async with kept(tmp_path, store_in(tmp_path)):
            raise AssertionError("it began")

    assert names_in(tmp_path / "gateway.journal") == set()


async def test_a_journal_that_somebody_has_deleted_stops_no_stop(tmp_path: Path) -> None:
    """What ended is in the database all the same."""
    async with kept(tmp_path, store_in(tmp_path)) as (ledger, _):
        finish(begin(ledger))
        shutil.rmtree(tmp_path / "gateway.journal")
        finish(begin(ledger))

    assert await count_in(tmp_path, store_in(tmp_path)) == 2


async def test_a_directory_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    """With the two ways out of it."""
    (tmp_path / "gateway.journal").write_text("a file")

    with pytest.raises(StoreError, match=r"give `ledger.journal` .* `ledger: {enabled: false}`"):
        async with kept(tmp_path, store_in(tmp_path)):
            raise AssertionError("it began")


def test_two_journals_have_two_names(tmp_path: Path) -> None:
    """However many start in one millisecond."""
    journals = [make_journal(spec_in(tmp_path)) for _ in range(20)]

    assert len({journal.path for journal in journals}) == 20
    modes = {stat.S_IMODE(path.stat().st_mode) for one in journals for path in one.path.iterdir()}
    assert modes == {0o600}
    for journal in journals:
        journal.close()
