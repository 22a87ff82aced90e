"""The ledger in tables.

The rule here: a batch is one transaction. Existing rows are left alone, so a batch that may
already be committed is simply written again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeVar

from msgspec.structs import astuple
from sqlalchemy import (
    ColumnElement,
    Dialect,
    Row,
    Select,
    Table,
    and_,
    case,
    distinct,
    func,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core.cost import FREE_VERSION
from gateway.core.credential import CALLERS_OWN
from gateway.core.durations import MS_PER_S
from gateway.stores.database import Database
from gateway.stores.errors import RowRefusedError
from gateway.stores.ledger import (
    LedgerAttempt,
    LedgerExchange,
    Spent,
    UsageQuery,
    UsageRow,
)
from gateway.stores.tables import ledger_attempts as attempts
from gateway.stores.tables import ledger_exchanges as exchanges

DAY_MS = 86_400_000

ValueT = TypeVar("ValueT")

# Rows per SQLite statement. The rows of an exchange take 10 µs this way and 14 one by one, because
# the driver releases the GIL and takes it again for each statement.
SQLITE_ROWS = 16

_ATTEMPTS = LedgerExchange.__struct_fields__.index("attempts")  # attempts have their own rows


class SqlLedgerStore:
    """A `LedgerStore` in a database."""

    def __init__(self, database: Database, sums: Database | None = None) -> None:
        """Make one; `sums` allows long queries if `database` has a deadline."""
        self._database = database
        self._sums = sums or database
        self._exchange_insert = _Insert(
            exchanges, _without_attempts(LedgerExchange.__struct_fields__)
        )
        self._attempt_insert = _Insert(attempts, ("exchange_id", *LedgerAttempt.__struct_fields__))

    async def save(self, exchanges: Sequence[LedgerExchange]) -> None:
        """Save all of them or none; one that is already stored is left alone."""
        rows = [_without_attempts(astuple(one)) for one in exchanges]
        tries = [(one.id, *astuple(attempt)) for one in exchanges for attempt in one.attempts]
        async with self._database.write() as connection:
            try:
                await self._exchange_insert.run(connection, rows)
                await self._attempt_insert.run(connection, tries)
            except (DBAPIError, OverflowError) as error:
                if not _is_about_a_row(error):
                    raise
                # `from None`: a driver's traceback contains the rows.
                raise RowRefusedError(
                    f"{self._database.shown}: takes no such row ({type(error).__name__})"
                ) from None

    async def fetch_usage(self, query: UsageQuery) -> list[UsageRow]:
        """The sums, ordered by what they are grouped by."""
        async with self._sums.read() as connection:
            found = await connection.execute(_usage_statement(query))
            return [_usage_row(row, query) for row in found]

    async def fetch_spent(self, since_ms: int, until_ms: int) -> list[Spent]:
        """What exchanges that began in that time have used, for each caller and model."""
        async with self._sums.read() as connection:
            found = await connection.execute(_spent_statement(since_ms, until_ms))
            return [
                Spent(
                    row.principal,
                    row.principal_kind,
                    row.tenant,
                    row.provider,
                    row.model,
                    int(row.tokens),  # PostgreSQL adds up to a Decimal
                    int(row.micros),
                )
                for row in found
            ]

    async def close(self) -> None:
        """Close every connection; called once, at the end."""
        await self._sums.close()
        if self._sums is not self._database:
            await self._database.close()


def _without_attempts(values: tuple[ValueT, ...]) -> tuple[ValueT, ...]:
    return values[:_ATTEMPTS] + values[_ATTEMPTS + 1 :]


def _is_about_a_row(error: Exception) -> bool:
    """Whether the driver or the database refuses a value, so that retrying cannot help."""
    if not isinstance(error, DBAPIError):
        return True  # sqlite3 raises others for a number that is too large
    # asyncpg checks values itself, and SQLAlchemy wraps what it raises in a general error.
    cause = None if error.orig is None else error.orig.__cause__
    is_checked = any(kind.__name__ == DataError.__name__ for kind in type(cause).__mro__)
    return is_checked or isinstance(error, DataError | IntegrityError)


class _Insert:
    """An insert that leaves existing rows alone, rendered once.

    It uses the driver's own way to insert many rows, as SQLAlchemy's takes 15 µs more per row on
    the event loop.
    """

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = columns
        self._texts: dict[int, str] = {}

    async def run(self, connection: AsyncConnection, rows: list[tuple[Any, ...]]) -> None:
        """Write rows whose values are in the order of the columns."""
        dialect = connection.dialect
        together = SQLITE_ROWS if dialect.name == "sqlite" else 1
        whole = len(rows) - len(rows) % together
        if whole:
            joined = [
                tuple(chain.from_iterable(rows[at : at + together]))
                for at in range(0, whole, together)
            ]
            await connection.exec_driver_sql(self._render(dialect, together), joined)
        if whole < len(rows):
            await connection.exec_driver_sql(self._render(dialect, 1), rows[whole:])

    def _render(self, dialect: Dialect, together: int) -> str:
        """The statement for `together` rows at a time."""
        text = self._texts.get(together)
        if text is None:
            insert = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
            statement = insert(self._table).on_conflict_do_nothing()
            compiled = statement.compile(dialect=dialect, column_keys=self._columns)
            if compiled.positiontup != list(self._columns):
                raise RuntimeError("The columns of a table are not in the order of its records.")
            values = "(" + ", ".join("?" * len(self._columns)) + ")"
            text = str(compiled).replace(values, ", ".join([values] * together))
            self._texts[together] = text
        return text


_COLUMNS: dict[str, ColumnElement[Any]] = {
    "principal": exchanges.c.principal,
    "tenant": exchanges.c.tenant,
    # An exchange tried at two providers counts at each for what it used there.
    "provider": func.coalesce(attempts.c.provider, exchanges.c.provider),
    "model": func.coalesce(attempts.c.model, exchanges.c.model),
    "credential": func.coalesce(attempts.c.credential_id, ""),
    "outcome": exchanges.c.outcome,
    "day": exchanges.c.started_at_ms // DAY_MS,
}


def _usage_statement(query: UsageQuery) -> Select[Any]:
    of = [_COLUMNS[word].label(f"of_{word}") for word in query.by]
    has_tokens = attempts.c.tokens_source.is_not(None)
    statement = (
        select(
            *of,
            func.count(distinct(exchanges.c.id)).label("requests"),
            func.count(attempts.c.number).label("attempts"),
            *(func.sum(attempts.c[name]).label(name) for name in _SUMS),
            func.count(case((attempts.c.tokens_source == "estimate", 1))).label("estimated"),
            func.count(case((has_tokens & attempts.c.cost_micros.is_(None), 1))).label("unpriced"),
        )
        .select_from(exchanges)
        .outerjoin(attempts, attempts.c.exchange_id == exchanges.c.id)
        .group_by(*of)
        .order_by(*of)
    )
    if query.since_ms is not None:
        statement = statement.where(exchanges.c.started_at_ms >= query.since_ms)
    if query.until_ms is not None:
        statement = statement.where(exchanges.c.started_at_ms < query.until_ms)
    return statement


def _spent_statement(since_ms: int, until_ms: int) -> Select[Any]:
    whose = [
        exchanges.c[name] for name in ("principal", "principal_kind", "tenant", "provider", "model")
    ]
    tokens = func.coalesce(attempts.c.tokens_in, 0) + func.coalesce(attempts.c.tokens_out, 0)
    # What callers pay themselves, and free models, count in no budget, even if the provider says
    # what it cost.
    is_in_none = or_(
        and_(
            or_(*(attempts.c.credential_id.startswith(word) for word in CALLERS_OWN)),
            # At a host that needs no credential, sending one does not mean paying.
            attempts.c.price_version.is_(None),
        ),
        attempts.c.price_version == FREE_VERSION,
    )
    booked = func.coalesce(attempts.c.provider_cost_micros, attempts.c.cost_micros, 0)
    micros = case((is_in_none, 0), else_=booked)
    return (
        select(*whose, func.sum(tokens).label("tokens"), func.sum(micros).label("micros"))
        .select_from(exchanges)
        .join(attempts, attempts.c.exchange_id == exchanges.c.id)
        .where(exchanges.c.started_at_ms >= since_ms, exchanges.c.started_at_ms < until_ms)
        .group_by(*whose)
    )


_SUMS = (
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_reasoning",
    "cost_micros",
    "provider_cost_micros",
)


def _usage_row(row: Row[Any], query: UsageQuery) -> UsageRow:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return UsageRow(
        of=tuple(_text_of(word, found[f"of_{word}"]) for word in query.by),
        requests=found["requests"],
        attempts=found["attempts"],
        **{name: int(found[name] or 0) for name in _SUMS},  # PostgreSQL adds up to a Decimal
        estimated=found["estimated"],
        unpriced=found["unpriced"],
    )


def _text_of(word: str, value: Any) -> str:  # noqa: ANN401 - a column's
    if word != "day":
        return str(value)
    return datetime.fromtimestamp(value * DAY_MS / MS_PER_S, UTC).strftime("%Y-%m-%d")
