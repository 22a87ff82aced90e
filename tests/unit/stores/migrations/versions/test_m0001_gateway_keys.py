"""Migrations lead to the tables that the code knows."""

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.stores.database import open_database
from gateway.stores.migrations.versions import m0001_gateway_keys
from gateway.stores.opening import find_address
from gateway.stores.schema import MIGRATIONS
from gateway.stores.tables import SCHEMA, metadata
from tests.plugins.stored_keys import ENVIRON, make_tables, spec_of


def differences(connection: Connection) -> list[object]:
    """What is otherwise in the database than in `tables`."""
    return compare_metadata(MigrationContext.configure(connection), metadata)


async def test_after_all_migrations_the_tables_are_those_of_the_code(
    database_address: str,
) -> None:
    """On both databases."""
    spec = spec_of(database_address)
    await make_tables(spec)
    database = open_database(find_address(spec, ENVIRON), timeout_s=10)

    async with database.read() as connection:
        found = await connection.run_sync(differences)
    await database.close()

    assert found == []


def test_the_last_migration_is_the_schema_of_the_code() -> None:
    """Otherwise no database would ever be the right one."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]
    assert m0001_gateway_keys.revision == "0001"
