"""A database of the version before has no checks, and takes the pepper that comes."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from gateway.config.stores import StoresSpec
from gateway.stores.database import make_sqlite_file, open_database
from gateway.stores.errors import StoreError
from gateway.stores.issuing import LISTS
from gateway.stores.migrations.versions import m0004_pepper_checks
from gateway.stores.opening import find_address, open_keys
from gateway.stores.peppers import Peppers
from gateway.stores.schema import MIGRATIONS, upgrade_schema
from gateway.stores.tables import SCHEMA, gateway_key_secrets, gateway_keys
from tests.plugins.stored_keys import ENVIRON, PEPPER, spec_of


def upgrade_to_the_version_before(connection: Connection) -> None:
    """Do what the gateway of that time did."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, m0004_pepper_checks.down_revision)


def fill(connection: Connection) -> None:
    """One key, as it was kept then."""
    key = {"name": "alice", "tenant": "", "created_at": 1, "revision": 1}
    lists = {field: [] for field in LISTS}
    connection.execute(gateway_keys.insert().values(**key, **lists))
    secret = {"name": "alice", "pepper": 1, "prefix": "gw_alice", "created_at": 1}
    digest = Peppers({1: PEPPER}).digest("k")
    connection.execute(gateway_key_secrets.insert().values(**secret, digest=digest))


async def test_keys_stay_and_the_next_pepper_is_taken_for_theirs(database_address: str) -> None:
    """On both databases; another one after it is refused."""
    spec: StoresSpec = spec_of(database_address)
    address = find_address(spec, ENVIRON)
    make_sqlite_file(address)
    database = open_database(address, timeout_s=10)
    async with database.write() as connection:
        await connection.run_sync(upgrade_to_the_version_before)
        await connection.run_sync(fill)

    before, after = await upgrade_schema(database)
    await database.close()

    assert (before, after) == (m0004_pepper_checks.down_revision, SCHEMA)
    opened = await open_keys(spec, ENVIRON, timeout_s=10)
    found = await opened.store.find_key(opened.peppers.digests("k"))
    await opened.store.close()
    assert found is not None
    with pytest.raises(StoreError, match="another pepper as version 1"):
        await open_keys(spec, {"GATEWAY_PEPPER": PEPPER[::-1]}, timeout_s=10)
