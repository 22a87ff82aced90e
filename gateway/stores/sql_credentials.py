"""Stored credentials in a table.

The rule here: a row is returned under the owner in the row itself, never by its position in a
result.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.stores.credentials import ByField, Envelope, Mark, StoredCredential
from gateway.stores.database import Database
from gateway.stores.tables import stored_credentials as table


class SqlCredentialStore:
    """A `CredentialStore` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch_of(self, owners: Collection[str]) -> dict[str, ByField]:
        """The credentials of several owners by field; owners without any are left out."""
        found: dict[str, dict[str, StoredCredential]] = {}
        async with self._database.read() as connection:
            rows = await connection.execute(select(table).where(table.c.owner.in_(owners)))
            for row in rows:
                found.setdefault(row.owner, {})[row.field] = _credential_of(row)
        return dict(found)

    async def fetch_owners(self, start: str) -> list[str]:
        """The owners whose names begin with `start`, in order."""
        begins_so = table.c.owner.startswith(start, autoescape=True)
        query = select(table.c.owner).where(begins_so).distinct().order_by(table.c.owner)
        async with self._database.read() as connection:
            return list(await connection.scalars(query))

    async def save(self, credential: StoredCredential) -> None:
        """Save a credential, replacing the one for the same owner and field."""
        row = _row_of(credential)
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        statement = insert(table).values(row)
        async with self._database.write() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["owner", "field"], set_=row)
            )

    async def delete(self, owner: str, field: str) -> bool:
        """Delete a credential; False if there was none."""
        async with self._database.write() as connection:
            done = await connection.execute(delete(table).where(*_is_at(owner, field)))
            return done.rowcount == 1

    async def note(self, marks: Mapping[int, Mark]) -> None:
        """Save whether values were accepted, by version; versions that are gone are ignored."""
        async with self._database.write() as connection:
            for version in sorted(marks):  # in one order, so that no two deadlock
                mark = marks[version]
                news = {"worked_at": mark.worked_at, "failed_at": mark.failed_at}
                await connection.execute(
                    update(table)
                    .where(table.c.version == version)
                    .values({name: at for name, at in news.items() if at is not None})
                )

    async def fetch_keys(self) -> list[tuple[int, bytes]]:
        """The encryption keys in use: their versions and checks."""
        pair = (table.c.key, table.c.key_check)
        async with self._database.read() as connection:
            rows = await connection.execute(select(*pair).distinct().order_by(*pair))
            return [(row.key, bytes(row.key_check)) for row in rows]

    async def fetch_after(
        self, place: tuple[str, str], *, newest: int, limit: int
    ) -> list[StoredCredential]:
        """Credentials not sealed with the newest key, ordered by owner and field."""
        at = tuple_(table.c.owner, table.c.field)
        query = select(table).where(table.c.key != newest, at > place)
        async with self._database.read() as connection:
            rows = await connection.execute(
                query.order_by(table.c.owner, table.c.field).limit(limit)
            )
            return [_credential_of(row) for row in rows]

    async def reseal(self, credentials: Sequence[tuple[StoredCredential, Envelope]]) -> int:
        """Give each its new envelope in one transaction; returns how many were replaced."""
        count = 0
        async with self._database.write() as connection:
            for credential, envelope in credentials:
                done = await connection.execute(
                    update(table)
                    .where(
                        *_is_at(credential.owner, credential.field),
                        table.c.version == credential.version,
                    )
                    .values(_columns_of(envelope))
                )
                count += done.rowcount
        return count

    async def close(self) -> None:
        """Close every connection; called once, at the end."""
        await self._database.close()


def _is_at(owner: str, field: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.owner == owner, table.c.field == field


def _columns_of(envelope: Envelope) -> dict[str, object]:
    return {
        "key": envelope.key,
        "key_check": envelope.key_check,
        "data_key": envelope.data_key,
        "sealed": envelope.sealed,
    }


def _row_of(credential: StoredCredential) -> dict[str, object]:
    return {
        "owner": credential.owner,
        "field": credential.field,
        "version": credential.version,
        **_columns_of(credential.envelope),
        "set_at": credential.set_at,
        "worked_at": credential.worked_at,
        "failed_at": credential.failed_at,
    }


def _credential_of(row: Row[Any]) -> StoredCredential:
    return StoredCredential(
        owner=row.owner,
        field=row.field,
        version=row.version,
        envelope=Envelope(row.key, bytes(row.key_check), bytes(row.data_key), bytes(row.sealed)),
        set_at=row.set_at,
        worked_at=row.worked_at,
        failed_at=row.failed_at,
    )
