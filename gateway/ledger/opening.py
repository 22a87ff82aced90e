"""From the settings to a ledger that is kept, and back to nothing.

The rule here: whatever would keep rows out of the database for ever (other tables, a damaged file,
a directory that cannot be written) stops the start; a database that is away does not.
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

ANSWER_S: Final = 10.0  # of the database; no request waits for it
STOP_S: Final = 5.0  # for the last rows; what is left is brought in at the next start


@asynccontextmanager
async def keep_ledger(
    ledger: Ledger,
    spec: LedgerSpec,
    stores: StoresSpec,
    report_crash: ReportCrash,
    *,
    stop_s: float = STOP_S,
) -> AsyncIterator[Writer]:
    """Keep the ledger for as long as this is entered; StoreError when that cannot begin."""

    async def open_store() -> LedgerStore:
        return await open_ledger_store(stores, timeout_s=ANSWER_S)

    writer = Writer(ledger, open_store)
    try:
        await writer.open_store()
    except StoreDamagedError:  # it would never come back
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
    """A new journal; StoreError when there cannot be one."""
    try:
        try:
            return Journal(Place.make(spec.directory, _new_name()))
        except FileExistsError:  # another process took the empty directory for one that was left
            return Journal(Place.make(spec.directory, _new_name()))
    except OSError as error:
        raise StoreError(
            f"{spec.directory}: the ledger's journal cannot be made: {error.strerror}; give "
            "`ledger.journal` a directory that can be written, or write `ledger: {enabled: false}`."
        ) from None


def _new_name() -> str:
    return make_name(int(system_clock() * MS_PER_S), secrets.token_hex(6))


async def _finish(ledger: Ledger, writer: Writer, stop_s: float) -> None:
    """Write the last rows if that is quick, and let go of the store.

    What is in the journal is brought in by the next gateway. What is in memory alone has no other
    chance than this, and what it does not get is not kept quiet.
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
