"""What would make keys fail later is said when the store is opened."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.stores import StoresSpec
from gateway.stores.errors import SchemaError, StoreDownError, StoreError
from gateway.stores.opening import find_address, open_checked, open_keys
from gateway.stores.schema import SCHEMA, fetch_version
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.stored_keys import (
    ENVIRON,
    NOW,
    PEPPER,
    PEPPERS,
    make_tables,
    new_key,
    spec_of,
)

ROOT = Path(__file__).parents[3]


def embedded(tmp_path: Path) -> StoresSpec:
    """The default settings, in a directory."""
    return StoresSpec().placed_in(tmp_path)


async def test_the_embedded_store_makes_itself(tmp_path: Path) -> None:
    """Nothing to install and nothing to prepare; and the second time it is the same."""
    first = await open_keys(embedded(tmp_path), {}, timeout_s=5)
    key, stored = new_key(first.peppers)
    await first.store.save_key(stored)
    await first.store.close()

    second = await open_keys(embedded(tmp_path), {}, timeout_s=5)
    found = await second.store.find_key(second.peppers.digests(key))
    await second.store.close()

    assert found == stored
    for name in ("gateway.db", "gateway.pepper"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


async def test_a_lost_pepper_is_not_replaced(tmp_path: Path) -> None:
    """With a new one every key would be unknown, and nobody would know why."""
    opened = await open_keys(embedded(tmp_path), {}, timeout_s=5)
    _, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    await opened.store.close()
    (tmp_path / "gateway.pepper").unlink()

    with pytest.raises(StoreError, match=r"gateway\.pepper is not there.*backup"):
        await open_keys(embedded(tmp_path), {}, timeout_s=5)
    assert not (tmp_path / "gateway.pepper").exists()


async def test_a_pepper_may_not_become_another_one(tmp_path: Path) -> None:
    """Every key would be 401, and the database well."""
    opened = await open_keys(embedded(tmp_path), {}, timeout_s=5)
    _, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    await opened.store.close()
    path = tmp_path / "gateway.pepper"
    right = path.read_text()
    path.write_text(f"1:{'0f' * 32}\n")

    with pytest.raises(StoreError, match=r"gateway\.pepper has another pepper .* put that back"):
        await open_keys(embedded(tmp_path), {}, timeout_s=5)

    path.write_text(f"{right}2:{'0f' * 32}\n")
    reopened = await open_keys(embedded(tmp_path), {}, timeout_s=5)
    assert reopened.peppers.newest == 2
    await reopened.store.close()


async def test_a_pepper_that_keys_need_may_not_be_left_out(tmp_path: Path) -> None:
    """The message names its version."""
    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    opened = await open_keys(spec_of(database), ENVIRON, timeout_s=5)
    _, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    await opened.store.close()

    with pytest.raises(StoreError, match="lacks the versions 1,"):
        await open_keys(
            StoresSpec(database=database, peppers={"2": "${P}"}), {"P": PEPPER}, timeout_s=5
        )


async def test_a_pepper_that_only_ended_keys_need_may_be_left_out(tmp_path: Path) -> None:
    """A rotation would never be over: what has ended stays in the list."""
    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    opened = await open_keys(spec_of(database), ENVIRON, timeout_s=5)
    _, stored = new_key(opened.peppers)
    await opened.store.save_key(stored)
    await opened.store.disable_key(stored.name, NOW)
    await opened.store.close()

    spec = StoresSpec(database=database, peppers={"2": "${P}"})
    reopened = await open_keys(spec, {"P": PEPPER}, timeout_s=5)

    assert reopened.peppers.versions == {2}
    await reopened.store.close()


async def test_postgresql_needs_a_pepper_of_its_own(postgresql: PostgresqlServer) -> None:
    """A file on one machine is not there on the next."""
    address = postgresql.make_database()
    with pytest.raises(SchemaError, match=r"`gateway db upgrade` makes them"):
        await open_keys(spec_of(address), ENVIRON, timeout_s=5)

    await make_tables(spec_of(address))
    with pytest.raises(StoreError, match="GATEWAY_PEPPER"):
        await open_keys(StoresSpec(database=address), {}, timeout_s=5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (StoresSpec(database="${NO_SUCH}"), "NO_SUCH"),
        (StoresSpec(database="postgresql://gw@127.0.0.1:1/x", peppers=PEPPERS), "127.0.0.1:1/x: "),
    ],
)
async def test_what_cannot_be_opened_is_said(spec: StoresSpec, message: str) -> None:
    """In one sentence."""
    with pytest.raises(StoreError, match=message):
        await open_keys(spec, ENVIRON, timeout_s=1)
    if spec.peppers is None:
        with pytest.raises(StoreError, match=message):
            find_address(spec, {})


async def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    """And left alone."""
    (tmp_path / "gateway.db").write_bytes(b"something else entirely" * 50)

    with pytest.raises(StoreDownError, match="not a database"):
        await open_keys(embedded(tmp_path), {}, timeout_s=5)
    assert not (tmp_path / "gateway.pepper").exists()


async def test_a_checked_database_has_our_tables(tmp_path: Path) -> None:
    """For commands that need no keys."""
    database = await open_checked(embedded(tmp_path), {}, timeout_s=5)

    assert await fetch_version(database) == SCHEMA
    await database.close()


def test_a_gateway_without_stored_keys_brings_no_database() -> None:
    """They take a third of a second of the start."""
    heavy = {"sqlalchemy", "alembic", "aiosqlite", "asyncpg", "sqlite3"}
    code = f"import sys; import gateway.cli.serve, gateway.app; print({heavy} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"
