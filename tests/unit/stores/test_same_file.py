"""A file that is moved away, put back or replaced while it is in use."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.config.stores import DatabaseAddress
from gateway.stores.database import Database, open_database
from gateway.stores.errors import StoreDownError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A file with one row, of which a connection is in the pool."""
    make_file(tmp_path / "a.db", 1)
    database = open_database(DatabaseAddress(shown="a.db", file=tmp_path / "a.db"), timeout_s=5)
    assert await read(database) == [1]
    yield database
    await database.close()


async def test_a_file_that_is_gone_is_a_store_that_is_down(
    database: Database, tmp_path: Path
) -> None:
    """Its connections would go on for ever with what nobody else sees; put back, it is the same."""
    (tmp_path / "a.db").rename(tmp_path / "away")

    for _ in range(2):
        with pytest.raises(StoreDownError, match="not there any more"):
            await read(database)
    (tmp_path / "away").rename(tmp_path / "a.db")

    assert await read(database) == [1]


async def test_another_file_in_its_place_is_not_written_into(
    database: Database, tmp_path: Path
) -> None:
    """SQLite would put the log of the old file into it; whoever starts then has the new one."""
    make_file(tmp_path / "backup.db", 2)
    (tmp_path / "backup.db").replace(tmp_path / "a.db")
    before = (tmp_path / "a.db").read_bytes()

    for _ in range(2):
        with pytest.raises(StoreDownError, match=r"a\.db: another file .* restart the gateway"):
            await read(database)
        with pytest.raises(StoreDownError, match="another file"):
            await add(database, 3)
    await database.close()

    assert (tmp_path / "a.db").read_bytes() == before


async def add(database: Database, number: int) -> None:
    """Write one more row."""
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})


async def read(database: Database) -> list[int]:
    """What is in the table."""
    async with database.read() as connection:
        return list((await connection.scalars(text("SELECT n FROM t ORDER BY n"))).all())


def make_file(file: Path, number: int) -> None:
    """Write a database with one number in it."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        connection.commit()
