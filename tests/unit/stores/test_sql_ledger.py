"""The ledger in tables, beyond what every store of it does (tests/contract)."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import astuple
from sqlalchemy import text

from gateway.core.attempts import AttemptRecord
from gateway.core.dialect import Dialect
from gateway.core.exchange import Exchange, Outcome
from gateway.ledger.rows import Started, end_of
from gateway.stores.database import Database
from gateway.stores.errors import StoreDownError
from gateway.stores.ledger import UsageQuery
from gateway.stores.opening import find_address, open_ledger_store
from gateway.stores.sql_ledger import SqlLedgerStore
from tests.plugins.ledgers import new_row
from tests.plugins.stored_keys import ENVIRON, make_tables, spec_of

# Whether somebody has waited for a lock for three times as long as whoever is hasty may.
WAITS_LONG = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND clock_timestamp() - query_start > interval '0.6 s'"
)


async def waits_long(database: Database) -> bool:
    """Whether that is so by now."""
    async with database.read() as connection:
        return bool(await connection.scalar(text(WAITS_LONG)))


async def test_a_period_goes_by_an_index(tmp_path: Path) -> None:
    """The last week costs what it has, not what the years before have."""
    spec = spec_of(f"sqlite:///{tmp_path / 'gateway.db'}")
    await make_tables(spec)
    address = find_address(spec, ENVIRON)
    assert address.file is not None
    connection = sqlite3.connect(address.file)
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT count(*) FROM ledger_exchanges LEFT JOIN ledger_attempts "
        "ON exchange_id = id WHERE ledger_exchanges.started_at_ms >= 5"
    ).fetchall()
    connection.close()

    assert [row[3] for row in plan if row[3].startswith("SCAN")] == []


async def test_the_driver_has_an_adapter_for_each_kind_of_value(tmp_path: Path) -> None:
    """Where it has none, it raises and catches an error for each value: a third of a row's time."""
    exchange = Exchange("r", 1.0, "POST", "/", "unix", (), outcome=Outcome.FINISHED)
    exchange.attempt_records.append(AttemptRecord(1, "groq", "m", "", 1.0, ended_at=2.0))
    row = end_of(exchange, Started("k", 0, 1.0))
    values = [*astuple(row)[:-1], *astuple(row.attempts[0])]

    kinds = {type(value) for value in values} - {int, str}
    await make_tables(spec_of(f"sqlite:///{tmp_path / 'gateway.db'}"))  # opens such a database

    assert kinds == {type(None), bool, Dialect, Outcome}
    for kind in kinds:
        assert (kind, sqlite3.PrepareProtocol) in sqlite3.adapters, kind


async def test_a_store_that_fails_says_so_and_nothing_of_the_rows(
    ledger_store: SqlLedgerStore,
) -> None:
    """A driver's message holds the statement and what was written."""
    database = ledger_store._database  # noqa: SLF001 - to break it
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE ledger_attempts RENAME TO gone"))
    try:
        with pytest.raises(StoreDownError) as refused:
            await ledger_store.save([new_row(principal="canary")])
    finally:
        async with database.write() as connection:
            await connection.execute(text("ALTER TABLE gone RENAME TO ledger_attempts"))

    assert "INSERT" not in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("ledger_address", ["postgresql"], indirect=True)
@pytest.mark.parametrize("asks", ["fetch_usage", "fetch_spent"])
async def test_a_sum_takes_as_long_as_it_takes(
    ledger_address: str, ledger_store: SqlLedgerStore, asks: str
) -> None:
    """Of a month with millions of exchanges none was ever known, and budgets began anew."""
    await ledger_store.save([new_row("p-1")])
    hasty = await open_ledger_store(spec_of(ledger_address), ENVIRON, timeout_s=0.2)
    question = (UsageQuery(()),) if asks == "fetch_usage" else (0, 2**62)
    database = ledger_store._database  # noqa: SLF001 - somebody else of the same server
    try:
        async with database.write() as busy:
            await busy.execute(text("LOCK TABLE ledger_exchanges"))
            asked = asyncio.create_task(getattr(hasty, asks)(*question))
            while not asked.done() and not await waits_long(database):
                pass

        assert len(await asked) == 1
    finally:
        await hasty.close()
