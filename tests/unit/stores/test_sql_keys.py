"""Keys in tables, beyond what every store of keys does (tests/contract/test_key_stores.py)."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.stores.database import open_database
from gateway.stores.errors import StoreDownError
from gateway.stores.opening import OpenKeys, find_address, open_keys
from gateway.stores.sql_keys import SqlKeyStore
from tests.plugins.stored_keys import ENVIRON, PEPPER, make_tables, new_key, spec_of


async def test_neither_key_nor_pepper_is_in_the_file(tmp_path: Path) -> None:
    """Whoever has the file has no key."""
    spec = spec_of(f"sqlite:///{tmp_path / 'gateway.db'}")
    opened = await open_keys(spec, ENVIRON, timeout_s=5)
    key, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    names = ("gateway.db", "gateway.db-wal", "gateway.db-shm")
    files = {name: (tmp_path / name).read_bytes() for name in names}
    await opened.store.close()
    files["after"] = (tmp_path / "gateway.db").read_bytes()

    for content in files.values():
        assert key[8:].encode() not in content
        assert PEPPER.encode() not in content


async def test_a_look_up_goes_by_an_index(tmp_path: Path) -> None:
    """A million keys cost what ten do."""
    spec = spec_of(f"sqlite:///{tmp_path / 'gateway.db'}")
    await make_tables(spec)
    address = find_address(spec, ENVIRON)
    assert address.file is not None
    connection = sqlite3.connect(address.file)
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM gateway_keys JOIN gateway_key_secrets USING (name) "
        "WHERE digest IN (x'00', x'01')"
    ).fetchall()
    connection.close()

    assert [row[3].split()[0] for row in plan if "SCAN" in row[3]] == []


async def test_a_store_that_fails_says_so_and_nothing_of_the_question(opened: OpenKeys) -> None:
    """A driver's message holds the statement and what was asked for."""
    key, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    assert isinstance(opened.store, SqlKeyStore)
    async with opened.store._database.write() as connection:  # noqa: SLF001 - to break it
        await connection.execute(text("DROP TABLE gateway_key_secrets"))

    with pytest.raises(StoreDownError) as refused:
        await opened.store.find_key(opened.peppers.digests(key))

    assert "SELECT" not in str(refused.value)
    assert opened.peppers.digest(key).hex() not in str(refused.value)


async def test_a_process_that_was_killed_has_lost_nothing_it_confirmed(tmp_path: Path) -> None:
    """The files as they are after SIGKILL: nothing was closed (J14)."""
    spec = spec_of(f"sqlite:///{tmp_path / 'gateway.db'}")
    opened = await open_keys(spec, ENVIRON, timeout_s=5)
    _, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("gateway.db", "gateway.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    await opened.store.close()

    address = find_address(spec_of(f"sqlite:///{copy / 'gateway.db'}"), ENVIRON)
    store = SqlKeyStore(open_database(address, timeout_s=5))

    assert await store.fetch_keys() == [stored]
    await store.close()
