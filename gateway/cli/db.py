"""`gateway db`: the version, the health and a copy of the database.

Rule: nothing is changed by looking.
"""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

import typer

from gateway.cli.stores import TIMEOUT_S, run_with_settings
from gateway.config.settings import Settings
from gateway.config.stores import ENCRYPTION_KEY_FILE, PEPPER_FILE, DatabaseAddress
from gateway.stores.backup import back_up_sqlite
from gateway.stores.database import make_sqlite_file, open_database
from gateway.stores.errors import StoreError
from gateway.stores.opening import find_address
from gateway.stores.schema import check_schema, find_damage, upgrade_schema
from gateway.stores.tables import SCHEMA
from gateway.stores.upgrade_lock import making

UPGRADE_TIMEOUT_S = 600.0  # a migration may rewrite a table


def upgrade(config: Path | None) -> int:
    """Bring the tables to the version of this gateway."""

    async def work(settings: Settings) -> int:
        address = find_address(settings.stores)
        async with making(address, wait_s=UPGRADE_TIMEOUT_S):
            make_sqlite_file(address)
            database = open_database(address, timeout_s=UPGRADE_TIMEOUT_S)
            try:
                before, after = await upgrade_schema(database)
            finally:
                await database.close()
        if before == after:
            typer.echo(f"{address.shown}: schema {after}, nothing to do")
        else:
            typer.echo(f"{address.shown}: schema {after}, was {before or 'empty'}")
        return 0

    return run_with_settings(config, work)


def check(config: Path | None) -> int:
    """Say whether the database can be used."""

    async def work(settings: Settings) -> int:
        address = find_address(settings.stores)
        if address.file is not None and not address.file.exists():
            raise StoreError(
                f"{address.file} does not exist yet; the first `gateway keys create` makes it."
            )
        database = open_database(address, timeout_s=TIMEOUT_S)
        try:
            await check_schema(database)
            damage = await find_damage(database)
        finally:
            await database.close()
        if damage is not None:
            raise StoreError(
                f"{address.shown} is damaged: {damage}; go back to a backup: stop the gateways, "
                f"delete {address.file}-wal and {address.file}-shm, and put the copy in its place."
            )
        typer.echo(f"{address.shown}: schema {SCHEMA}, no damage found")
        return 0

    return run_with_settings(config, work)


def back_up(file: Path, config: Path | None) -> int:
    """Copy an SQLite database while it is in use."""

    async def work(settings: Settings) -> int:
        address = find_address(settings.stores)
        if address.file is None:
            raise StoreError(
                "PostgreSQL makes its own backups: `"
                + shlex.join(["pg_dump", "--format=custom", f"--file={file}", _for_libpq(address)])
                + "` (it asks for the password). Nothing was written."
            )
        back_up_sqlite(address.file, file)
        typer.echo(f"{file}: written")
        files = [
            name
            for name, configured in (
                (PEPPER_FILE, settings.stores.peppers),
                (ENCRYPTION_KEY_FILE, settings.stores.encryption_keys),
            )
            if configured is None and address.file.with_name(name).exists()
        ]
        if files:
            typer.echo(
                f"Keep {' and '.join(files)} too, in another place: the copy is useless without.",
                err=True,
            )
        return 0

    return run_with_settings(config, work)


def _for_libpq(address: DatabaseAddress) -> str:
    """The address without its password, as PostgreSQL's own programs take it."""
    if address.url is None:
        return address.shown
    parts = urlsplit(address.url.get_secret_value())
    user, _, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    query = "&".join(
        f"sslmode={pair.removeprefix('ssl=')}" if pair.startswith("ssl=") else pair
        for pair in parts.query.split("&")
    )
    return parts._replace(netloc=f"{user}@{host}" if user else host, query=query).geturl()
