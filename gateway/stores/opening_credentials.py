"""From the settings to an open store of credentials with its encryption keys.

The rule here: whatever would make credentials fail one by one later (wrong tables, a lost or wrong
key) is found here, once, with an error that says how to fix it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.config.stores import (
    ENCRYPTION_KEY_FILE,
    DatabaseAddress,
    StoresError,
    StoresSpec,
    find_database,
)
from gateway.stores.credentials import CredentialStore
from gateway.stores.encryption_keys import EncryptionKeys, read_encryption_key_file
from gateway.stores.errors import StoreError
from gateway.stores.opening import find_address, open_checked
from gateway.stores.profiles import Columns
from gateway.stores.version_file import ensure_version_file

if TYPE_CHECKING:
    from gateway.stores.supabase_profiles import SupabaseProfiles


LOST = (
    "stored credentials were sealed with what it held; put it back from a backup, or they have to "
    "be set anew."
)


class OpenCredentials(msgspec.Struct, frozen=True):
    """A store of credentials, and the keys that its envelopes are sealed with."""

    store: CredentialStore
    keys: EncryptionKeys


async def open_credentials(
    spec: StoresSpec, environ: Mapping[str, str] | None = None, *, timeout_s: float
) -> OpenCredentials:
    """Open the store; an SQLite file and its encryption key are created if missing."""
    # SQLAlchemy and cryptography take 0.3 s to import: only a gateway with profiles pays that.
    from gateway.stores.sql_credentials import SqlCredentialStore  # noqa: PLC0415 - see above

    database = await open_checked(spec, environ, timeout_s=timeout_s)
    store = SqlCredentialStore(database)
    try:
        return OpenCredentials(store, await _find_keys(spec, environ, store))
    except BaseException:
        await store.close()
        raise


async def open_supabase_profiles(
    written: str,
    columns: Columns,
    environ: Mapping[str, str] | None = None,
    *,
    field: str,
    timeout_s: float,
) -> "SupabaseProfiles":
    """Open somebody else's tables for reading; StoreError if they are not as expected."""
    from gateway.stores.database import open_database  # noqa: PLC0415 - heavy
    from gateway.stores.supabase_profiles import open_profiles  # noqa: PLC0415 - heavy

    try:
        address = find_database(written, environ, field=field)
    except StoresError as error:
        raise StoreError(str(error)) from None
    if address.url is None:
        raise StoreError(f"{field}: profiles of a table are in PostgreSQL; {written} is SQLite.")
    return await open_profiles(open_database(address, timeout_s=timeout_s), columns)


async def _find_keys(
    spec: StoresSpec, environ: Mapping[str, str] | None, store: CredentialStore
) -> EncryptionKeys:
    sealed = await store.fetch_keys()
    try:
        configured = spec.find_encryption_keys(environ)
        if configured is not None:
            by_version = {at: key.get_secret_value() for at, key in configured.items()}
            keys = EncryptionKeys(by_version, "stores.encryption_keys")
        else:
            path = _key_path(find_address(spec, environ))
            keys = await asyncio.to_thread(_read_or_make, path, is_needed=bool(sealed))
    except StoresError as error:
        raise StoreError(str(error)) from None
    for version, check in sealed:
        keys.find(version, check)
    return keys


def _key_path(address: DatabaseAddress) -> Path:
    if address.file is None:
        raise StoreError(
            "Credentials in PostgreSQL need an encryption key of their own: write "
            'stores: {encryption_keys: {"1": ${GATEWAY_ENCRYPTION_KEY}}} in gateway.yaml '
            "(`openssl rand -hex 32` makes one)."
        )
    return address.file.with_name(ENCRYPTION_KEY_FILE)


def _read_or_make(path: Path, *, is_needed: bool) -> EncryptionKeys:
    ensure_version_file(path, LOST if is_needed else None)
    return read_encryption_key_file(path)
