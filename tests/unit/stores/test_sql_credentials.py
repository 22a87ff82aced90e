"""Credentials in a table, beyond what every store does (tests/contract)."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.stores.errors import StoreDownError
from gateway.stores.opening_credentials import OpenCredentials, open_credentials
from gateway.stores.sql_credentials import SqlCredentialStore
from tests.plugins.stored_credentials import (
    CREDENTIAL_ENVIRON,
    VALUE,
    credential_spec,
    encryption_key,
    keys_of,
    new_credential,
)


def contents(directory: Path) -> list[bytes]:
    """What is in each file."""
    return [path.read_bytes() for path in directory.iterdir()]


async def test_neither_credential_nor_key_is_in_any_file(tmp_path: Path) -> None:
    """Whoever has the files has no credential; also not one that was replaced or deleted."""
    spec = credential_spec(f"sqlite:///{tmp_path / 'gateway.db'}")
    opened = await open_credentials(spec, CREDENTIAL_ENVIRON, timeout_s=5)
    for number in range(20):
        await opened.store.save(new_credential(opened.keys, f"user:{number % 5}"))
    await opened.store.delete("user:3", "groq_api_key")
    during = contents(tmp_path)
    await opened.store.close()
    after = contents(tmp_path)

    assert len(during) == 3
    for content in (*during, *after):
        assert VALUE.encode() not in content
        assert VALUE[-4:].encode() not in content
        assert encryption_key(1).encode() not in content
        assert keys_of(1).find_newest()[0] not in content


async def test_a_look_up_goes_by_an_index(tmp_path: Path) -> None:
    """A million owners cost what ten do; a mark as well."""
    spec = credential_spec(f"sqlite:///{tmp_path / 'gateway.db'}")
    opened = await open_credentials(spec, CREDENTIAL_ENVIRON, timeout_s=5)
    await opened.store.close()
    connection = sqlite3.connect(tmp_path / "gateway.db")
    plans = [
        connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        for query in (
            "SELECT * FROM stored_credentials WHERE owner IN ('a', 'b')",
            "UPDATE stored_credentials SET worked_at = 1 WHERE version = 5",
        )
    ]
    connection.close()

    assert ["SCAN" in step[3] for plan in plans for step in plan] == [False, False]


async def test_a_store_that_fails_says_so_and_nothing_of_the_value(
    opened_credentials: OpenCredentials,
) -> None:
    """A driver's message holds the statement and what was to be written."""
    store = opened_credentials.store
    assert isinstance(store, SqlCredentialStore)
    async with store._database.write() as connection:  # noqa: SLF001 - to break it
        await connection.execute(text("DROP TABLE stored_credentials"))
    credential = new_credential(opened_credentials.keys)

    with pytest.raises(StoreDownError) as refused:
        await store.save(credential)

    assert "INSERT" not in str(refused.value)
    assert credential.envelope.sealed.hex() not in str(refused.value)
