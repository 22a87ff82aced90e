"""Tables of another version are refused, with what mends it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.stores.database import Database, make_sqlite_file, open_database
from gateway.stores.errors import SchemaError
from gateway.stores.opening import find_address
from gateway.stores.schema import (
    check_schema,
    fetch_version,
    find_damage,
    is_empty,
    upgrade_schema,
)
from gateway.stores.tables import SCHEMA
from tests.plugins.stored_keys import ENVIRON, spec_of


def database_of(database_address: str) -> Database:
    """An open database without tables."""
    address = find_address(spec_of(database_address), ENVIRON)
    make_sqlite_file(address)
    return open_database(address, timeout_s=10)


async def pretend(database: Database, version: str) -> None:
    """Let the tables be of another version."""
    async with database.write() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :version"), {"version": version}
        )


async def test_an_empty_database_becomes_one_of_ours(database_address: str) -> None:
    """In one step, and a second one does nothing."""
    database = database_of(database_address)
    assert (await fetch_version(database), await is_empty(database)) == (None, True)
    with pytest.raises(SchemaError, match=f"needs schema {SCHEMA}; `gateway db upgrade`"):
        await check_schema(database)

    assert await upgrade_schema(database) == (None, SCHEMA)
    assert await upgrade_schema(database) == (SCHEMA, SCHEMA)

    await check_schema(database)
    assert (await fetch_version(database), await is_empty(database)) == (SCHEMA, False)
    assert await find_damage(database) is None
    await database.close()


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("0001", rf"has schema 0001, this gateway needs {SCHEMA}; `gateway db upgrade`"),
        ("9999", rf"has schema 9999, newer than the {SCHEMA} .*`gateway db upgrade`"),
    ],
    ids=["older", "newer"],
)
async def test_another_version_is_refused_with_both_named(
    database_address: str, version: str, message: str
) -> None:
    """And left as it is (J15)."""
    database = database_of(database_address)
    await upgrade_schema(database)
    await pretend(database, version)

    with pytest.raises(SchemaError, match=message):
        await check_schema(database)

    assert await fetch_version(database) == version
    await database.close()


async def test_a_newer_schema_is_not_upgraded(database_address: str) -> None:
    """An old gateway knows nothing of it."""
    database = database_of(database_address)
    await upgrade_schema(database)
    await pretend(database, "9999")

    with pytest.raises(SchemaError, match="9999"):
        await upgrade_schema(database)
    await database.close()


@pytest.mark.parametrize("version", ["0000", "", "000", "1f4a9c02d7e3"])
async def test_a_schema_that_no_gateway_made_is_no_older_one(
    database_address: str, version: str
) -> None:
    """Somebody else's table, or a slip of the hand: an upgrade has nowhere to begin."""
    database = database_of(database_address)
    await upgrade_schema(database)
    await pretend(database, version)

    for refuse in (check_schema, upgrade_schema):
        with pytest.raises(SchemaError, match="no gateway made") as refused:
            await refuse(database)
        assert f"has schema {version or '(empty)'}," in str(refused.value)
        assert SCHEMA in str(refused.value)
        assert "db upgrade" not in str(refused.value)

    assert await fetch_version(database) == version
    await database.close()


@pytest.mark.parametrize("loss", ["DROP TABLE alembic_version", "DELETE FROM alembic_version"])
async def test_tables_whose_version_is_lost_are_not_taken_for_none(
    database_address: str, loss: str
) -> None:
    """A part of a backup was restored; to make the tables anew fails, with a driver's words."""
    database = database_of(database_address)
    await upgrade_schema(database)
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE pepper_checks"))
        await connection.execute(text(loss))

    for refuse in (check_schema, upgrade_schema):
        with pytest.raises(SchemaError, match="nothing that says of which version") as refused:
            await refuse(database)
        assert "(gateway_key_secrets, gateway_keys, ledger_attempts, " in str(refused.value)
        assert "Go back to a whole backup" in str(refused.value)
        assert "db upgrade" not in str(refused.value)
    await database.close()


async def test_two_upgrades_at_once_are_one(database_address: str) -> None:
    """Two machines are updated at the same time."""
    databases = [database_of(database_address) for _ in range(2)]

    done = await asyncio.gather(*(upgrade_schema(database) for database in databases))

    assert sorted(done, key=str) == [(SCHEMA, SCHEMA), (None, SCHEMA)]  # one had nothing to do
    for database in databases:
        await check_schema(database)
        await database.close()


async def test_an_upgrade_that_fails_leaves_nothing(database_address: str) -> None:
    """Half a migration would be neither version (J15)."""
    database = database_of(database_address)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE other (n INTEGER)"))
        # A name that the second of the two tables of the first migration needs.
        await connection.execute(text("CREATE INDEX ix_gateway_key_secrets_name ON other (n)"))

    with pytest.raises(Exception, match="already exists"):
        await upgrade_schema(database)

    assert await fetch_version(database) is None
    async with database.read() as connection:
        with pytest.raises(Exception, match="gateway_keys"):
            await connection.execute(text("SELECT * FROM gateway_keys"))
    await database.close()


async def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    """Before a restore is too late (J13)."""
    file = tmp_path / "gateway.db"
    database = database_of(f"sqlite:///{file}")
    await upgrade_schema(database)
    await database.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET rootpage = 3 WHERE name = 'gateway_keys'")
    connection.close()
    database = database_of(f"sqlite:///{file}")

    assert await find_damage(database) is not None
    await database.close()
