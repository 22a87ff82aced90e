"""What would make credentials fail later is said when their store is opened."""

from pathlib import Path

import pytest

from gateway.config.stores import StoresSpec
from gateway.stores.errors import StoreError
from gateway.stores.opening_credentials import open_credentials, open_supabase_profiles
from gateway.stores.profiles import Columns
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.stored_credentials import CREDENTIAL_ENVIRON, credential_spec, new_credential
from tests.plugins.stored_keys import make_tables


def embedded(tmp_path: Path) -> StoresSpec:
    """The default settings, in a directory."""
    return StoresSpec().placed_in(tmp_path)


async def test_the_embedded_store_makes_itself_and_its_key(tmp_path: Path) -> None:
    """Nothing to prepare; and the second time it is the same."""
    first = await open_credentials(embedded(tmp_path), {}, timeout_s=5)
    saved = new_credential(first.keys)
    await first.store.save(saved)
    await first.store.close()

    second = await open_credentials(embedded(tmp_path), {}, timeout_s=5)
    found = await second.store.fetch_of([saved.owner])
    await second.store.close()

    assert found == {saved.owner: {saved.field: saved}}
    for name in ("gateway.db", "gateway.encryption-keys"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


async def test_a_lost_key_file_is_not_replaced(tmp_path: Path) -> None:
    """With a new one nothing would open, and nobody would know why."""
    opened = await open_credentials(embedded(tmp_path), {}, timeout_s=5)
    await opened.store.save(new_credential(opened.keys))
    await opened.store.close()
    (tmp_path / "gateway.encryption-keys").unlink()

    with pytest.raises(StoreError, match=r"encryption-keys is not there.*backup"):
        await open_credentials(embedded(tmp_path), {}, timeout_s=5)
    assert not (tmp_path / "gateway.encryption-keys").exists()


async def test_a_key_that_is_missing_or_another_one_stops_the_start(tmp_path: Path) -> None:
    """The message names its version."""
    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    opened = await open_credentials(
        credential_spec(database, 1, 2), CREDENTIAL_ENVIRON, timeout_s=5
    )
    await opened.store.save(new_credential(opened.keys))
    await opened.store.close()

    with pytest.raises(StoreError, match="lacks the encryption key 2,"):
        await open_credentials(credential_spec(database, 1), CREDENTIAL_ENVIRON, timeout_s=5)
    changed = {"ENCRYPTION_KEY_2": CREDENTIAL_ENVIRON["ENCRYPTION_KEY_3"]}
    with pytest.raises(StoreError, match=r"encryption key 2 of .* is another one"):
        await open_credentials(credential_spec(database, 2), changed, timeout_s=5)


async def test_postgresql_needs_a_key_of_its_own(postgresql: PostgresqlServer) -> None:
    """A file on one machine is not there on the next."""
    spec = StoresSpec(database=postgresql.make_database())
    await make_tables(spec)

    with pytest.raises(StoreError, match="GATEWAY_ENCRYPTION_KEY"):
        await open_credentials(spec, {}, timeout_s=5)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("${NO_SUCH}", r"profiles\.database needs the variable \$\{NO_SUCH\}"),
        ("${FILE}", "is SQLite"),
        ("postgresql://gw@127.0.0.1:1/x", "127.0.0.1:1/x: "),
    ],
)
async def test_a_table_that_cannot_be_reached_is_said(written: str, message: str) -> None:
    """In one sentence."""
    columns = Columns("profiles", "user_id", frozenset({"groq_api_key"}), None)

    with pytest.raises(StoreError, match=message):
        await open_supabase_profiles(
            written,
            columns,
            {"FILE": "sqlite:///x.db"},
            field="profiles.database",
            timeout_s=1,
        )
