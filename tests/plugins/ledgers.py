"""Ledgers for tests: rows, stores of each sort, and one that fails when it is told to.

The rule here: a row is whole, so that a test names only what it is about.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.core.exchange import Outcome
from gateway.ledger.records import Begin
from gateway.stores.database import open_database
from gateway.stores.errors import StoreDownError
from gateway.stores.ledger import (
    LedgerAttempt,
    LedgerExchange,
    LedgerStore,
    Spent,
    UsageQuery,
    UsageRow,
)
from gateway.stores.opening import find_address, open_ledger_store
from gateway.stores.sql_ledger import SqlLedgerStore
from gateway.stores.tables import ledger_attempts, ledger_exchanges
from tests.plugins.stored_keys import ENVIRON, make_tables, spec_of

DAY_MS = 86_400_000
NOON_MS = 20_500 * DAY_MS + DAY_MS // 2  # of 2026-02-16
USED = {
    "tokens_in": 10,
    "tokens_out": 20,
    "tokens_cached": 3,
    "tokens_reasoning": 4,
    "tokens_source": "provider",
    "cost_micros": 1_500_000,
    "price_version": "prices-1",
    "provider_cost_micros": 1_400_000,
}


def new_attempt(
    number: int = 1, used: dict[str, Any] | None = None, **fields: Any
) -> LedgerAttempt:
    """One attempt that went well."""
    usual = {
        "number": number,
        "provider": "sim",
        "model": "m",
        "credential_id": "SIM_API_KEY",
        "started_at_ms": NOON_MS,
        "duration_ms": 300,
        "outcome": Outcome.FINISHED,
        "status": 200,
    }
    return LedgerAttempt(**{**usual, **(USED if used is None else used), **fields})


def row_of(name: str) -> UsageRow:
    """A sum for one principal."""
    return UsageRow((name,), 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)


def new_row(key: str = "p-1", **fields: Any) -> LedgerExchange:
    """One exchange that went well."""
    usual = {
        "id": key,
        "request_id": "req-1",
        "principal": "alice",
        "principal_kind": "gateway_key",
        "tenant": "acme",
        "dialect": "openai",
        "provider": "sim",
        "model": "m",
        "started_at_ms": NOON_MS,
        "duration_ms": 310,
        "outcome": Outcome.FINISHED,
        "stream": True,
        "status": 200,
        "first_content_ms": 12,
        "bytes_in": 100,
        "bytes_out": 2000,
        "attempts": (new_attempt(),),
    }
    return LedgerExchange(**{**usual, **fields})


def begun(row: LedgerExchange) -> Begin:
    """What is written of it before its last attempt is sent anything."""
    *earlier, last = row.attempts
    return Begin(
        row.id,
        row.request_id,
        row.principal,
        row.principal_kind,
        row.tenant,
        row.dialect,
        row.provider,
        row.model,
        last.provider,
        last.model,
        last.credential_id,
        row.stream,
        row.bytes_in,
        row.started_at_ms,
        last.started_at_ms,
        50,
        7,
        "prices-1",
        tuple(earlier),
    )


class FickleLedgerStore:
    """Keeps rows in memory; fails or waits when told to."""

    def __init__(self, store: LedgerStore | None = None) -> None:
        self.rows: dict[str, LedgerExchange] = {}
        self.saves = 0
        self.is_down = False
        self.fails_after_commit = False
        self.is_closed = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._store = store

    async def save(self, exchanges: Sequence[LedgerExchange]) -> None:
        """Keep them, unless told otherwise."""
        self.saves += 1
        await self.gate.wait()
        if self.is_down:
            raise StoreDownError("gateway.db: out of order")
        for row in exchanges:
            self.rows.setdefault(row.id, row)
        if self.fails_after_commit:
            raise StoreDownError("gateway.db: no answer")

    async def fetch_usage(self, query: UsageQuery) -> list[UsageRow]:
        """No sums: whoever asks looks at the rows."""
        del query
        return []

    async def fetch_spent(self, since_ms: int, until_ms: int) -> list[Spent]:
        """The same."""
        del since_ms, until_ms
        return []

    async def close(self) -> None:
        """Let go."""
        self.is_closed = True


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def ledger_address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of each sort with tables: made once, because that takes a third of a second."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'gateway.db'}"
    else:
        address = request.getfixturevalue("postgresql").make_database()
    asyncio.run(make_tables(spec_of(address)))
    return address


@pytest.fixture
async def ledger_store(ledger_address: str) -> AsyncIterator[SqlLedgerStore]:
    """An empty store of each sort."""
    store = await open_ledger_store(spec_of(ledger_address), ENVIRON, timeout_s=10)
    assert isinstance(store, SqlLedgerStore)
    async with store._database.write() as connection:  # noqa: SLF001 - no gateway deletes rows
        await connection.execute(ledger_attempts.delete())
        await connection.execute(ledger_exchanges.delete())
    yield store
    await store.close()


async def read_books(database_address: str) -> list[dict[str, Any]]:
    """Every exchange in a database, by id, each with its attempts."""
    database = open_database(find_address(spec_of(database_address), ENVIRON), timeout_s=10)
    async with database.read() as connection:
        found = await connection.execute(ledger_exchanges.select().order_by(ledger_exchanges.c.id))
        tried = await connection.execute(ledger_attempts.select().order_by(*ledger_attempts.c[:2]))
        books = {row.id: {**row._mapping, "attempts": []} for row in found}  # noqa: SLF001 - its name
        for row in tried:
            books[row.exchange_id]["attempts"].append(dict(row._mapping))  # noqa: SLF001 - the same
    await database.close()
    return list(books.values())
