"""A database of the version before keeps all that is in it."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select

from gateway.stores.database import make_sqlite_file, open_database
from gateway.stores.migrations.versions import m0003_stored_credentials
from gateway.stores.opening import find_address, open_keys
from gateway.stores.schema import MIGRATIONS, upgrade_schema
from gateway.stores.sql_keys import SqlKeyStore
from gateway.stores.tables import SCHEMA, gateway_keys, stored_credentials
from tests.plugins.stored_keys import ENVIRON, new_key, spec_of


def upgrade_to_the_version_before(connection: Connection) -> None:
    """Do what the gateway of that time did."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, m0003_stored_credentials.down_revision)


async def test_keys_stay_and_there_are_no_credentials(database_address: str) -> None:
    """On both databases."""
    spec = spec_of(database_address)
    address = find_address(spec, ENVIRON)
    make_sqlite_file(address)
    database = open_database(address, timeout_s=10)
    async with database.write() as connection:
        await connection.run_sync(upgrade_to_the_version_before)
        await connection.execute(
            gateway_keys.insert().values(
                name="alice",
                tenant="",
                groups=[],
                providers=[],
                models=[],
                networks=[],
                created_at=1,
                revision=1,
            )
        )

    before, after = await upgrade_schema(database)

    assert (before, after) == (m0003_stored_credentials.down_revision, SCHEMA)
    async with database.read() as connection:
        count = await connection.scalar(select(func.count()).select_from(stored_credentials))
    await database.close()
    opened = await open_keys(spec, ENVIRON, timeout_s=10)
    assert count == 0
    assert isinstance(opened.store, SqlKeyStore)
    _, stored = new_key(opened.peppers, "bob")
    await opened.store.save_key(stored)
    assert [key.name for key in await opened.store.fetch_keys()] == ["bob"]
    await opened.store.close()
