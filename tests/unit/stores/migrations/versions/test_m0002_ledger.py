"""The tables of the ledger are added to those that are there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect

from gateway.stores.database import make_sqlite_file, open_database
from gateway.stores.migrations.versions import m0002_ledger
from gateway.stores.opening import find_address
from gateway.stores.schema import MIGRATIONS, fetch_version, upgrade_schema
from gateway.stores.tables import SCHEMA
from tests.plugins.stored_keys import ENVIRON, spec_of


def upgrade_to_first(connection: Connection) -> None:
    """Bring a database to the version before."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, m0002_ledger.down_revision)


async def test_a_database_of_the_version_before_is_brought_along(tmp_path: Path) -> None:
    """With the keys that are in it."""
    address = find_address(spec_of(f"sqlite:///{tmp_path / 'gateway.db'}"), ENVIRON)
    make_sqlite_file(address)
    database = open_database(address, timeout_s=10)
    async with database.write() as connection:
        await connection.run_sync(upgrade_to_first)
    assert await fetch_version(database) == "0001"

    await upgrade_schema(database)

    async with database.read() as connection:
        names = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    await database.close()
    assert {"gateway_keys", "ledger_exchanges", "ledger_attempts"} <= names
    assert m0002_ledger.revision <= SCHEMA
