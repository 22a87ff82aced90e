"""From the settings to an open key store with its peppers.

The rule here: whatever would make keys fail one by one later (wrong tables, a lost or wrong
pepper) is found here, once, with an error that says how to fix it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.config.stores import PEPPER_FILE, DatabaseAddress, StoresError, StoresSpec
from gateway.core.clock import system_clock
from gateway.stores.checking_peppers import check_peppers
from gateway.stores.errors import StoreError
from gateway.stores.keys import KeyStore
from gateway.stores.ledger import LedgerStore
from gateway.stores.peppers import Peppers, read_pepper_file
from gateway.stores.upgrade_lock import making
from gateway.stores.version_file import ensure_version_file

if TYPE_CHECKING:
    from gateway.stores.database import Database


LOST = (
    "stored keys were hashed with what it held; put it back from a backup, or those keys are lost."
)


class OpenKeys(msgspec.Struct, frozen=True):
    """A key store, and the peppers of its digests."""

    store: KeyStore
    peppers: Peppers
    revision: int  # the store's, read before anything else


async def open_keys(
    spec: StoresSpec, environ: Mapping[str, str] | None = None, *, timeout_s: float
) -> OpenKeys:
    """Open the store of keys; an SQLite file and its pepper are created if missing."""
    # SQLAlchemy takes 0.2 s to import: only a gateway with stored keys pays that.
    from gateway.stores.sql_keys import SqlKeyStore  # noqa: PLC0415 - see above

    database = await open_checked(spec, environ, timeout_s=timeout_s)
    store = SqlKeyStore(database)
    try:
        peppers = await _find_peppers(spec, environ, store)
        return OpenKeys(store, peppers, await store.fetch_revision())
    except BaseException:
        await store.close()
        raise


async def open_ledger_store(
    spec: StoresSpec, environ: Mapping[str, str] | None = None, *, timeout_s: float
) -> LedgerStore:
    """Open the store of the ledger; an SQLite file is created if missing."""
    from gateway.stores.database import open_for_sums  # noqa: PLC0415 - heavy
    from gateway.stores.sql_ledger import SqlLedgerStore  # noqa: PLC0415 - heavy

    database = await open_checked(spec, environ, timeout_s=timeout_s)
    sums = open_for_sums(find_address(spec, environ), timeout_s=timeout_s)
    return SqlLedgerStore(database, sums)


async def open_checked(
    spec: StoresSpec, environ: Mapping[str, str] | None = None, *, timeout_s: float
) -> "Database":
    """The database with this gateway's tables; SchemaError if it has others."""
    from gateway.stores.database import make_sqlite_file, open_database  # noqa: PLC0415 - heavy
    from gateway.stores.schema import (  # noqa: PLC0415 - heavy
        check_schema,
        is_empty,
        upgrade_schema,
    )

    address = find_address(spec, environ)
    # A process that comes second finds everything created, and need not even import Alembic.
    async with making(address):
        make_sqlite_file(address)
        database = open_database(address, timeout_s=timeout_s)
        try:
            if address.file is not None and await is_empty(database):
                await upgrade_schema(database)
            await check_schema(database)
        except BaseException:
            await database.close()
            raise
    return database


def find_address(spec: StoresSpec, environ: Mapping[str, str] | None = None) -> DatabaseAddress:
    """Where the database is; StoreError if the settings do not say."""
    try:
        return spec.find_database(environ)
    except StoresError as error:
        raise StoreError(str(error)) from None


async def _find_peppers(
    spec: StoresSpec, environ: Mapping[str, str] | None, store: KeyStore
) -> Peppers:
    needed = await store.fetch_peppers()
    try:
        configured = spec.find_peppers(environ)
        if configured is not None:
            peppers = Peppers({at: pepper.get_secret_value() for at, pepper in configured.items()})
        else:
            path = _pepper_path(find_address(spec, environ))
            peppers = await asyncio.to_thread(_read_or_make, path, is_needed=bool(needed))
    except StoresError as error:
        raise StoreError(str(error)) from None
    missing = needed - peppers.versions
    if missing:  # only then, since it takes a second with a million keys
        missing = await store.find_working_peppers(missing, int(system_clock()))
    if missing:
        raise StoreError(
            f"{peppers.source} lacks the versions {', '.join(map(str, sorted(missing)))}, which "
            "stored keys were hashed with; put them back, or those keys are lost."
        )
    await check_peppers(store, peppers, (needed | {peppers.newest}) & peppers.versions)
    return peppers


def _pepper_path(address: DatabaseAddress) -> Path:
    if address.file is None:
        raise StoreError(
            "Keys in PostgreSQL need a pepper of their own: write "
            'stores: {peppers: {"1": ${GATEWAY_PEPPER}}} in gateway.yaml '
            "(`openssl rand -hex 32` makes one)."
        )
    return address.file.with_name(PEPPER_FILE)


def _read_or_make(path: Path, *, is_needed: bool) -> Peppers:
    ensure_version_file(path, LOST if is_needed else None)
    return read_pepper_file(path)
