"""The version of the tables, and upgrading them to this gateway's.

The rule here: only `gateway db upgrade` changes tables of another version.
"""

import re
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.stores.database import Database
from gateway.stores.errors import SchemaError
from gateway.stores.tables import SCHEMA, metadata

MIGRATIONS = Path(__file__).with_name("migrations")
UPGRADE_LOCK = 7_202_611  # an arbitrary number, unlikely to be used by others in this database

_FILE = re.compile(r"m(?P<version>[0-9]{4})_[a-z0-9_]+\.py")
_OURS = re.compile(r"[0-9]{4}")
_VERSION = table("alembic_version", column("version_num"))


async def fetch_version(database: Database) -> str | None:
    """The version of the tables; None if there are none."""
    async with database.read() as connection:
        return await _read_version(connection)


async def is_empty(database: Database) -> bool:
    """Whether there are no tables at all, as in a file that was just created."""
    async with database.read() as connection:
        return not await connection.run_sync(lambda sync: inspect(sync).get_table_names())


async def check_schema(database: Database) -> None:
    """Raise SchemaError unless the tables have this gateway's version."""
    found = await fetch_version(database)
    if found == SCHEMA:
        return
    if found is None:
        await _refuse_unversioned(database)
        raise SchemaError(
            f"{database.shown} has no tables of the gateway, which needs schema {SCHEMA}; "
            "`gateway db upgrade` makes them."
        )
    if found in _find_known():
        raise SchemaError(
            f"{database.shown} has schema {found}, this gateway needs {SCHEMA}; "
            "`gateway db upgrade` brings it there (`gateway db backup` first)."
        )
    if found < SCHEMA or _OURS.fullmatch(found) is None:
        raise SchemaError(
            f"{database.shown} has schema {found or '(empty)'}, which no gateway made; this one "
            f"needs {SCHEMA}. Go back to a backup, or give `stores.database` a database of its own."
        )
    raise SchemaError(
        f"{database.shown} has schema {found}, newer than the {SCHEMA} of this gateway; "
        "install the gateway that made it and run its `gateway db upgrade`, or go back to a backup."
    )


async def upgrade_schema(database: Database) -> tuple[str | None, str]:
    """Upgrade the tables to this gateway's version; returns the versions before and after."""
    found = await fetch_version(database)
    if found is None:
        await _refuse_unversioned(database)
    elif found not in _find_known():
        await check_schema(database)
    run_migrations = _load_migrations()  # before the lock, so that nobody waits for the import
    async with database.write() as connection:
        if not database.is_sqlite:  # two at once would both create the first table
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})"))
        before = await _read_version(connection)  # another process may have been faster
        await connection.run_sync(run_migrations)
    return before, SCHEMA


async def _read_version(connection: AsyncConnection) -> str | None:
    if not await connection.run_sync(lambda sync: inspect(sync).has_table(_VERSION.name)):
        return None
    found: str | None = await connection.scalar(select(_VERSION.c.version_num))
    return found


async def _refuse_unversioned(database: Database) -> None:
    """Raise SchemaError if there are tables of ours, as nobody can tell their version."""
    async with database.read() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    ours = sorted(metadata.tables.keys() & set(names))
    # Read the version again: another process may have created both in the meantime.
    if ours and await fetch_version(database) is None:
        raise SchemaError(
            f"{database.shown} has tables of a gateway ({', '.join(ours)}), and nothing that says "
            f"of which version: no row in {_VERSION.name}. Only a part of it was restored, or that "
            "table was lost. Go back to a whole backup, or give `stores.database` a database of "
            "its own."
        )


async def find_damage(database: Database) -> str | None:
    """What SQLite finds wrong with its file; None if nothing, or if it is not SQLite."""
    if not database.is_sqlite:
        return None
    async with database.read() as connection:
        found = await connection.scalar(text("PRAGMA quick_check(1)"))
        return None if found == "ok" else str(found)


def _find_known() -> frozenset[str]:
    """The versions from which we can upgrade."""
    found = map(_FILE.fullmatch, (path.name for path in (MIGRATIONS / "versions").iterdir()))
    return frozenset(file["version"] for file in found if file is not None)


def _load_migrations() -> Callable[[Connection], None]:
    # Alembic takes as long to import as the rest of the gateway, and is needed only here.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, SCHEMA)

    return run
