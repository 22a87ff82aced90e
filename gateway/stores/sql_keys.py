"""Stored keys in tables.

The rule here: one statement a look-up, by primary key; so a million keys cost what ten do.
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

CHANGES_MAX = 1_000  # of which a gateway is told the names
WRITE_LOCK = 7_202_612  # any number that nobody else of this database takes


class SqlKeyStore:
    """A `KeyStore` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_key(self, digests: Sequence[bytes]) -> StoredKey | None:
        """The key that has a secret with one of these digests, with that secret alone."""
        async with self._database.read() as connection:
            found = await connection.execute(_joined().where(secrets.c.digest.in_(digests)))
            return next(iter(_keys_of(found)), None)

    async def find_keys(self, digests: Collection[bytes]) -> dict[bytes, StoredKey]:
        """The same for several at once, each by its digest; what is not there is left out."""
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
        """Every key with all of its secrets, by name; or so many of those after a name."""
        wanted = _joined()
        if after or limit is not None:
            names = select(keys.c.name).where(keys.c.name > after).order_by(keys.c.name)
            wanted = wanted.where(keys.c.name.in_(names.limit(limit)))
        async with self._database.read() as connection:
            return _keys_of(await connection.execute(wanted))

    async def fetch_changes(self, since: int) -> Changes:
        """The keys that were made or changed after a revision; cheap when there are none."""
        async with self._database.read() as connection:
            last = await _last_revision(connection)
            if last == since:
                return Changes(last, frozenset())
            changed = select(keys.c.name).where(keys.c.revision > since).limit(CHANGES_MAX + 1)
            names = frozenset(await connection.scalars(changed))
            # A revision that went back is another database: a backup was restored.
            is_too_much = last < since or len(names) > CHANGES_MAX
            return Changes(last, None if is_too_much else names)

    async def fetch_revision(self) -> int:
        """The revision of the last change."""
        async with self._database.read() as connection:
            return await _last_revision(connection)

    async def fetch_peppers(self) -> frozenset[int]:
        """The versions of pepper that stored secrets were hashed with, ended ones too."""
        async with self._database.read() as connection:
            found = await connection.scalars(select(secrets.c.pepper).distinct())
            return frozenset(found)

    async def find_working_peppers(self, versions: Collection[int], now: int) -> frozenset[int]:
        """Those of these versions that a secret needs which still works."""
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
        """What was saved of peppers, by their version."""
        async with self._database.read() as connection:
            found = await connection.execute(select(pepper_checks))
            return {row.pepper: bytes(row.pepper_check) for row in found}

    async def save_pepper_checks(self, checks: Mapping[int, bytes]) -> None:
        """Keep the checks of these versions, in place of others that are there."""
        rows = [{"pepper": version, "pepper_check": check} for version, check in checks.items()]
        async with self._write() as (connection, _):
            await connection.execute(
                delete(pepper_checks).where(pepper_checks.c.pepper.in_(checks))
            )
            await connection.execute(pepper_checks.insert().values(rows))

    async def save_key(self, key: StoredKey) -> None:
        """Keep a new key with its secrets; KeyExistsError when the name is taken."""
        try:
            async with self._write() as (connection, revision):
                await _insert(connection, key, revision)
        except _NameTakenError:
            raise KeyExistsError(
                f"There is a key named {key.name} already; `gateway keys rotate {key.name}` gives "
                "it another secret."
            ) from None

    async def save_secret(self, name: str, secret: StoredSecret, *, others_end_at: int) -> None:
        """Give a key another secret; the ones it has end then, or when they would have before."""
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
        """Refuse a key from now on; False when it was already disabled."""
        async with self._write() as (connection, revision):
            await _fetch_ends(connection, name)
            done = await connection.execute(
                update(keys)
                .where(keys.c.name == name, keys.c.disabled_at.is_(None))
                .values(disabled_at=at, revision=revision)
            )
            return done.rowcount == 1

    async def close(self) -> None:
        """Let go of every connection; called once, last."""
        await self._database.close()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[tuple[AsyncConnection, int]]:
        """A transaction and the revision that it makes."""
        async with self._database.write() as connection:
            if not self._database.is_sqlite:
                # Revisions have to be committed in their order, or a gateway that saw the later
                # one would never ask for the earlier.
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"))
            yield connection, await _last_revision(connection) + 1


class _NameTakenError(Exception):
    """The insert met a row that was there."""


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
