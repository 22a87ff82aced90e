"""Stored keys in tables.

The rule here: a look-up is one statement by primary key, so a million keys cost no more than ten.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, Select, delete, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core.durations import render_time
from gateway.stores.database import Database
from gateway.stores.errors import (
    KeyDisabledError,
    KeyExistsError,
    KeyExpiredError,
    KeyNotFoundError,
)
from gateway.stores.keys import Changes, StoredKey, StoredSecret, is_over
from gateway.stores.tables import gateway_key_secrets as secrets
from gateway.stores.tables import gateway_keys as keys
from gateway.stores.tables import pepper_checks

CHANGES_MAX = 1_000  # with more changes a gateway is not told the names
WRITE_LOCK = 7_202_612  # an arbitrary number, unlikely to be used by others in this database


class SqlKeyStore:
    """A `KeyStore` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_key(self, digests: Sequence[bytes]) -> StoredKey | None:
        """The key that has a secret with one of these digests, with only that secret."""
        async with self._database.read() as connection:
            found = await connection.execute(_joined().where(secrets.c.digest.in_(digests)))
            return next(iter(_keys_of(found)), None)

    async def find_keys(self, digests: Collection[bytes]) -> dict[bytes, StoredKey]:
        """The same for several keys at once, by digest; unknown ones are left out."""
        async with self._database.read() as connection:
            found = await connection.execute(_joined().where(secrets.c.digest.in_(digests)))
            return {bytes(row.digest): _key_of([row]) for row in found}

    async def fetch_key(self, name: str) -> StoredKey:
        """A key with all of its secrets; KeyNotFoundError."""
        async with self._database.read() as connection:
            found = _keys_of(await connection.execute(_joined().where(keys.c.name == name)))
        if not found:
            raise _not_found(name)
        return found[0]

    async def fetch_keys(self, *, after: str = "", limit: int | None = None) -> list[StoredKey]:
        """Every key with all its secrets, by name; or the first `limit` after a name."""
        wanted = _joined()
        if after or limit is not None:
            names = select(keys.c.name).where(keys.c.name > after).order_by(keys.c.name)
            wanted = wanted.where(keys.c.name.in_(names.limit(limit)))
        async with self._database.read() as connection:
            return _keys_of(await connection.execute(wanted))

    async def fetch_changes(self, since: int) -> Changes:
        """The keys that were created or changed after a revision; cheap if there are none."""
        async with self._database.read() as connection:
            last = await _last_revision(connection)
            if last == since:
                return Changes(last, frozenset())
            changed = select(keys.c.name).where(keys.c.revision > since).limit(CHANGES_MAX + 1)
            names = frozenset(await connection.scalars(changed))
            # A revision that went back means another database: a backup was restored.
            is_too_much = last < since or len(names) > CHANGES_MAX
            return Changes(last, None if is_too_much else names)

    async def fetch_revision(self) -> int:
        """The revision of the last change."""
        async with self._database.read() as connection:
            return await _last_revision(connection)

    async def fetch_peppers(self) -> frozenset[int]:
        """The pepper versions that stored secrets were hashed with, including expired secrets."""
        async with self._database.read() as connection:
            found = await connection.scalars(select(secrets.c.pepper).distinct())
            return frozenset(found)

    async def find_working_peppers(self, versions: Collection[int], now: int) -> frozenset[int]:
        """Those of these versions that a still working secret needs."""
        query = (
            select(secrets.c.pepper)
            .distinct()
            .join(keys, keys.c.name == secrets.c.name)
            .where(
                secrets.c.pepper.in_(versions),
                secrets.c.expires_at.is_(None) | (secrets.c.expires_at > now),
                keys.c.expires_at.is_(None) | (keys.c.expires_at > now),
                keys.c.disabled_at.is_(None),
            )
        )
        async with self._database.read() as connection:
            return frozenset(await connection.scalars(query))

    async def fetch_pepper_checks(self) -> dict[int, bytes]:
        """The saved checks of peppers, by version."""
        async with self._database.read() as connection:
            found = await connection.execute(select(pepper_checks))
            return {row.pepper: bytes(row.pepper_check) for row in found}

    async def save_pepper_checks(self, checks: Mapping[int, bytes]) -> None:
        """Save the checks of these versions, replacing existing ones."""
        rows = [{"pepper": version, "pepper_check": check} for version, check in checks.items()]
        async with self._write() as (connection, _):
            await connection.execute(
                delete(pepper_checks).where(pepper_checks.c.pepper.in_(checks))
            )
            await connection.execute(pepper_checks.insert().values(rows))

    async def save_key(self, key: StoredKey) -> None:
        """Save a new key with its secrets; KeyExistsError if the name is taken."""
        try:
            async with self._write() as (connection, revision):
                await _insert(connection, key, revision)
        except _NameTakenError:
            raise KeyExistsError(
                f"There is a key named {key.name} already; `gateway keys rotate {key.name}` gives "
                "it another secret."
            ) from None

    async def save_secret(self, name: str, secret: StoredSecret, *, others_end_at: int) -> None:
        """Give a key another secret; existing ones end at `others_end_at` at the latest."""
        async with self._write() as (connection, revision):
            disabled_at, expires_at = await _fetch_ends(connection, name)
            if disabled_at is not None:
                raise KeyDisabledError(
                    f"{name} is disabled, and stays so; make a key of another name."
                )
            if is_over(expires_at, secret.created_at):
                raise KeyExpiredError(
                    f"{name} has expired at {render_time(expires_at)}, and another secret "
                    "would not work either; make a key of another name."
                )
            ends_later = secrets.c.expires_at.is_(None) | (secrets.c.expires_at > others_end_at)
            await connection.execute(
                update(secrets)
                .where(secrets.c.name == name, ends_later)
                .values(expires_at=others_end_at)
            )
            await connection.execute(secrets.insert().values(_row_of(name, secret)))
            await connection.execute(
                update(keys).where(keys.c.name == name).values(revision=revision)
            )

    async def disable_key(self, name: str, at: int) -> bool:
        """Refuse a key from now on; False if it was already disabled."""
        async with self._write() as (connection, revision):
            await _fetch_ends(connection, name)
            done = await connection.execute(
                update(keys)
                .where(keys.c.name == name, keys.c.disabled_at.is_(None))
                .values(disabled_at=at, revision=revision)
            )
            return done.rowcount == 1

    async def close(self) -> None:
        """Close every connection; called once, at the end."""
        await self._database.close()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[tuple[AsyncConnection, int]]:
        """A transaction, and the revision that it creates."""
        async with self._database.write() as connection:
            if not self._database.is_sqlite:
                # Revisions must be committed in order, or a gateway that has seen a later one would
                # never ask for the earlier.
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"))
            yield connection, await _last_revision(connection) + 1


class _NameTakenError(Exception):
    """The insert found an existing row."""


async def _insert(connection: AsyncConnection, key: StoredKey, revision: int) -> None:
    row = {
        column.name: list(value) if isinstance(value, tuple) else value
        for column in keys.columns
        if column is not keys.c.revision
        for value in [getattr(key, column.name)]
    } | {"revision": revision}
    try:
        await connection.execute(keys.insert().values(row))
    except IntegrityError:
        raise _NameTakenError from None
    for secret in key.secrets:
        await connection.execute(secrets.insert().values(_row_of(key.name, secret)))


async def _last_revision(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.max(keys.c.revision))) or 0


async def _fetch_ends(connection: AsyncConnection, name: str) -> tuple[int | None, int | None]:
    """When a key was disabled, and when it expires; KeyNotFoundError."""
    wanted = select(keys.c.disabled_at, keys.c.expires_at).where(keys.c.name == name)
    found = (await connection.execute(wanted)).one_or_none()
    if found is None:
        raise _not_found(name)
    return found.disabled_at, found.expires_at


def _not_found(name: str) -> KeyNotFoundError:
    return KeyNotFoundError(f"There is no key named {name}; `gateway keys list` shows them.")


def _row_of(name: str, secret: StoredSecret) -> dict[str, object]:
    return {
        "name": name,
        "digest": secret.digest,
        "pepper": secret.pepper,
        "prefix": secret.prefix,
        "created_at": secret.created_at,
        "expires_at": secret.expires_at,
    }


def _joined() -> Select[Any]:
    """Every key once for each of its secrets."""
    return (
        select(
            *keys.columns,
            secrets.c.digest,
            secrets.c.pepper,
            secrets.c.prefix,
            secrets.c.created_at.label("secret_created_at"),
            secrets.c.expires_at.label("secret_expires_at"),
        )
        .join(secrets, secrets.c.name == keys.c.name)
        .order_by(keys.c.name, secrets.c.created_at, secrets.c.digest)
    )


def _keys_of(rows: Iterable[Row[Any]]) -> list[StoredKey]:
    by_name: dict[str, list[Row[Any]]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    return [_key_of(of_one) for of_one in by_name.values()]


def _key_of(rows: Sequence[Row[Any]]) -> StoredKey:
    first = rows[0]
    return StoredKey(
        name=first.name,
        created_at=first.created_at,
        tenant=first.tenant,
        groups=tuple(first.groups),
        providers=tuple(first.providers),
        models=tuple(first.models),
        networks=tuple(first.networks),
        expires_at=first.expires_at,
        disabled_at=first.disabled_at,
        secrets=tuple(
            StoredSecret(
                digest=bytes(row.digest),
                pepper=row.pepper,
                prefix=row.prefix,
                created_at=row.secret_created_at,
                expires_at=row.secret_expires_at,
            )
            for row in rows
        ),
    )
