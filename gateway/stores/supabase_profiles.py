"""The tables of a chat front end on Supabase, with what its users have set.

The rule here: nothing is ever written. Every name is found in the real table before it is used. A
row is looked up by who is calling, never by an id from a request alone. If the database treats a
different value as equal (text compared without case), the row counts as somebody else's.
"""

import uuid
import warnings
from collections.abc import Callable, Collection
from typing import Any

from pydantic import SecretStr
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Enum,
    Integer,
    MetaData,
    Select,
    SmallInteger,
    String,
    Table,
    Uuid,
    inspect,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.exc import NoSuchTableError, SAWarning
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import TypeEngine

from gateway.stores.database import Database
from gateway.stores.errors import SchemaError, StoreDeniedError
from gateway.stores.profiles import Columns, ModelPlace, ModelRow, Profile

Real = dict[str, TypeEngine[Any]]
"""The columns of a table, and what they hold."""

MODEL_COLUMNS = ("id", "user_id", "base_url", "model_id", "api_key", "context_length")


MAX_DIGITS = 20  # the longest number that a column holds, with its sign


class SupabaseProfiles:
    """Both tables, open for reading."""

    def __init__(self, database: Database, profiles: Table, models: Table | None) -> None:
        self._database = database
        self._profiles = profiles
        self._id, *self._fields = profiles.columns
        self._models = models

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the table has."""
        return frozenset(column.name for column in self._fields)

    @property
    def has_models(self) -> bool:
        """Whether there is a table of users' own models."""
        return self._models is not None

    async def fetch_profiles(self, ids: Collection[str]) -> dict[str, Profile]:
        """What these users have set in their profiles; users without one are left out."""
        wanted = _values_for(self._id, ids)
        if not wanted:
            return {}
        query: Select[Any] = select(self._profiles).where(self._id.in_(list(wanted)))
        async with self._database.look() as connection:
            rows = (await connection.execute(query)).all()
        return {
            wanted[whose]: self._profile_of(values) for whose, *values in rows if whose in wanted
        }

    async def fetch_models(self, places: Collection[ModelPlace]) -> dict[ModelPlace, ModelRow]:
        """The models at these places; one that is not that user's is left out."""
        table = self._models
        if table is None:
            return {}
        wanted: dict[tuple[Any, Any], ModelPlace] = {}
        for user, id_ in places:
            for user_value in _values_for(table.c.user_id, [user]):
                for id_value in _values_for(table.c.id, [id_]):
                    wanted[user_value, id_value] = (user, id_)
        if not wanted:
            return {}
        query = select(table).where(tuple_(table.c.user_id, table.c.id).in_(list(wanted)))
        async with self._database.look() as connection:
            rows = (await connection.execute(query)).all()
        return {
            wanted[place]: _model_of(row)
            for row in rows
            if (place := (row.user_id, row.id)) in wanted
        }

    def _profile_of(self, values: list[Any]) -> Profile:
        return {
            column.name: SecretStr(value.strip())
            for column, value in zip(self._fields, values, strict=True)
            if isinstance(value, str) and value.strip()  # an empty text counts as not set
        }

    async def close(self) -> None:
        """Close every connection; called once, at the end."""
        await self._database.close()


async def open_profiles(database: Database, columns: Columns) -> SupabaseProfiles:
    """The tables with their real columns; SchemaError if a needed one is missing."""
    try:
        async with database.look() as connection:
            profiles = await connection.run_sync(_reflect, columns.table)
            models = (
                None
                if columns.models is None
                else await connection.run_sync(_reflect, columns.models)
            )
        profiles_table = _table_of(database, columns.table, profiles, columns.id, columns.fields)
        models_table = _models_table(database, columns, models)
        await _check_readable(database, profiles_table, "mends that")
        if models_table is not None:
            hint = "mends that, or `models: null` where users have no models of their own"
            await _check_readable(database, models_table, hint)
        return SupabaseProfiles(database, profiles_table, models_table)
    except BaseException:
        await database.close()
        raise


async def _check_readable(database: Database, table: Table, hint: str) -> None:
    """Raise SchemaError if our user can see that the table exists but cannot read it."""
    try:
        async with database.look() as connection:
            await connection.execute(select(table).limit(0))
    except StoreDeniedError as error:
        names = ", ".join(column.name for column in table.columns)
        raise SchemaError(f"{error}; `GRANT SELECT ({names}) ON {table.name}` {hint}.") from None


def _reflect(connection: Connection, table: str) -> Real:
    """The real columns of a table and their types; empty if there is no such table."""
    try:
        with warnings.catch_warnings():
            # About types defined by extensions; a needed column of such a type is reported below.
            warnings.simplefilter("ignore", SAWarning)
            found = inspect(connection).get_columns(table)
    except NoSuchTableError:
        return {}
    return {column["name"]: column["type"] for column in found}


def _table_of(
    database: Database,
    name: str,
    real: Real,
    id_: str,
    wanted: frozenset[str],
) -> Table:
    if not real:
        raise SchemaError(f"{database.shown} has no table {name}, which `profiles` names.")
    if id_ not in real:
        raise SchemaError(f"{database.shown}: the table {name} has no column {id_}.")
    _check_id(database, name, id_, real[id_])
    fields = sorted(field for field in wanted if field != id_ and _holds_text(real.get(field)))
    if not fields:
        raise SchemaError(
            f"{database.shown}: the table {name} has none of the columns that providers.yaml "
            f"names by `key`, or not as text: {', '.join(sorted(wanted))}."
        )
    return _make_table(name, real, [id_, *fields])


def _models_table(database: Database, columns: Columns, real: Real | None) -> Table | None:
    """The table of models; None if there is none and none was configured."""
    name = columns.models
    if name is None or real is None or not (real or columns.needs_models):
        return None
    if not real:
        raise SchemaError(
            f"{database.shown} has no table {name}, which `profiles` names; "
            "write `models: null` where users have no models of their own."
        )
    missing = [column for column in MODEL_COLUMNS if column not in real]
    if missing:
        raise SchemaError(f"{database.shown}: the table {name} lacks {', '.join(missing)}.")
    for column in ("id", "user_id"):
        _check_id(database, name, column, real[column])
    return _make_table(name, real, MODEL_COLUMNS)


def _check_id(database: Database, table: str, column: str, type_: TypeEngine[Any]) -> None:
    """Raise SchemaError where no subject of a token can be found in such a column."""
    if isinstance(type_, Enum) or not isinstance(type_, Uuid | String | Integer):
        raise SchemaError(
            f"{database.shown}: the column {column} of the table {table} is of the type {type_!r}; "
            "by which rows are found has to be uuid, text or a whole number."
        )


def _holds_text(type_: TypeEngine[Any] | None) -> bool:
    return isinstance(type_, String | DOMAIN)


def _make_table(name: str, real: Real, columns: Collection[str]) -> Table:
    return Table(
        quoted_name(name, quote=True),
        MetaData(),
        *(Column(quoted_name(column, quote=True), real[column]) for column in columns),
    )


def _values_for(column: Column[Any], texts: Collection[str]) -> dict[Any, str]:
    """The texts by what they are in a column; those that cannot stand in it are left out."""
    if isinstance(column.type, Uuid):
        read: Callable[[str], Any] = uuid.UUID
    elif isinstance(column.type, Integer):
        read = _reads_whole_numbers(column.type)
    else:
        return {text: text for text in texts}
    found = {}
    for text in texts:
        try:
            value = read(text)
        except ValueError:
            continue
        if str(value) == text:  # one row has one name; UUID takes capitals and braces too
            found[value] = text
    return found


def _reads_whole_numbers(type_: Integer) -> Callable[[str], int]:
    """Reads those that a column holds; the driver refuses all of a question for a larger one."""
    bits = 63 if isinstance(type_, BigInteger) else 15 if isinstance(type_, SmallInteger) else 31

    def read(text: str) -> int:
        number = int(text[:MAX_DIGITS])
        if not -(2**bits) <= number < 2**bits:
            raise ValueError("no column holds it")
        return number

    return read


def _model_of(row: Any) -> ModelRow:  # noqa: ANN401 - a row of a table that is known at run time
    key = str(row.api_key or "").strip()
    return ModelRow(
        base_url=str(row.base_url or "").strip(),
        model_id=str(row.model_id or "").strip(),
        api_key=SecretStr(key) if key else None,
        context_length=row.context_length if isinstance(row.context_length, int) else None,
    )
