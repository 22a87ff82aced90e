"""Starting and stopping the ledger.

The rule here: whatever would keep rows out of the database for ever (wrong tables, a damaged file,
an unwritable directory) stops the start. A database that is only down does not.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.config.ledger import LedgerSpec
from gateway.config.stores import StoresSpec
from gateway.core.clock import system_clock
from gateway.core.durations import MS_PER_S
from gateway.core.tasks import ReportCrash, Tasks
from gateway.ledger.journal import Journal
from gateway.ledger.ledger import Ledger
from gateway.ledger.places import Place, make_name
from gateway.ledger.syncing import Syncer
from gateway.ledger.writer import Writer
from gateway.stores.errors import StoreDamagedError, StoreDownError, StoreError
from gateway.stores.ledger import LedgerStore
from gateway.stores.opening import open_ledger_store

ANSWER_S: Final = 10.0  # how long we wait for the database; requests never wait for it
STOP_S: Final = 5.0  # time for the last rows at a stop; the next start saves the rest


@asynccontextmanager
async def keep_ledger(
    ledger: Ledger,
    spec: LedgerSpec,
    stores: StoresSpec,
    report_crash: ReportCrash,
    *,
    stop_s: float = STOP_S,
) -> AsyncIterator[Writer]:
    """Run the ledger inside this context; StoreError if it cannot start."""

    async def open_store() -> LedgerStore:
        return await open_ledger_store(stores, timeout_s=ANSWER_S)

    writer = Writer(ledger, open_store)
    try:
        await writer.open_store()
    except StoreDamagedError:  # waiting would not repair it
        raise
    except StoreDownError as error:
        ledger.store.fail(str(error))
    try:
        ledger.open(make_journal(spec))
    except BaseException:
        await writer.close()
        raise
    syncer, writing = Syncer(ledger, spec.fsync_ms), Tasks(report_crash)
    writing.spawn("write_ledger", writer.run())
    try:
        yield writer
    finally:
        writer.stop()
        if not await writing.wait(stop_s):
            await writing.cancel()
        await _finish(ledger, writer, stop_s)
        await syncer.stop(stop_s)
        ledger.close()


def make_journal(spec: LedgerSpec) -> Journal:
    """A new journal; StoreError if it cannot be created."""
    try:
        try:
            return Journal(Place.make(spec.directory, _new_name()))
        except FileExistsError:  # another process took our empty directory for an abandoned one
            return Journal(Place.make(spec.directory, _new_name()))
    except OSError as error:
        raise StoreError(
            f"{spec.directory}: the ledger's journal cannot be made: {error.strerror}; give "
            "`ledger.journal` a directory that can be written, or write `ledger: {enabled: false}`."
        ) from None


def _new_name() -> str:
    return make_name(int(system_clock() * MS_PER_S), secrets.token_hex(6))


async def _finish(ledger: Ledger, writer: Writer, stop_s: float) -> None:
    """Save the last rows if that is quick, and close the store.

    The next gateway saves what is left in the journal. Rows that exist only in memory have no other
    chance than this, so those that cannot be saved are logged.
    """
    try:
        async with asyncio.timeout(stop_s):
            await writer.flush()
            await writer.save_held()
    except TimeoutError:
        ledger.store.fail("no answer while stopping")
    ledger.write_held()
    ledger.give_up_held()
    await writer.close()
