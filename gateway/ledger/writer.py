"""The task that brings rows into the database.

The rule here: a row leaves the journal after its commit and not before. Rows that were taken and
not committed are kept and written again; the store leaves alone what it has.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.ledger.held_rows import TAKEN_ROWS
from gateway.ledger.ledger import Ledger
from gateway.ledger.left_journal import LeftJournal, UnreadableError
from gateway.ledger.places import Place
from gateway.ledger.records import encode_line
from gateway.ledger.segment import OWNER_ONLY, Segment
from gateway.stores.errors import RowRefusedError, StoreError
from gateway.stores.ledger import LedgerExchange, LedgerStore, Spent, UsageQuery, UsageRow

# Between two looks, unless many rows are there before: a transaction costs as much as 100 rows.
FLUSH_S: Final = 2.0
LOOK_S: Final = 60.0  # between two looks for journals that were left
BACK_OFF_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
JITTER: Final = 0.2  # several gateways should not come back at the same moment
REFUSED: Final = "refused.journal"

OpenStore = Callable[[], Awaitable[LedgerStore]]

_log = structlog.get_logger()


class Source(Protocol):
    """Where rows come from: a journal, or memory."""

    def take(self) -> list[LedgerExchange]:
        """The next rows; none when there are no more for now."""

    def commit(self) -> None:
        """What was taken is in the database."""


class Writer:
    """Brings rows from the journals of a directory into a store."""

    def __init__(self, ledger: Ledger, open_store: OpenStore, *, flush_s: float = FLUSH_S) -> None:
        self._ledger = ledger
        self._open_store = open_store
        self._flush_s = flush_s
        self._store: LedgerStore | None = None
        self._taken: tuple[Source, list[LedgerExchange]] | None = None
        self._left: list[LeftJournal] = []
        self._look_at = 0.0
        self._unreadable: set[str] = set()  # of which the log knows
        self._failures = 0
        self._damaged = 0
        self._set_aside_ids: set[str] = set()  # of rows that may be read again
        self._stopping = asyncio.Event()
        self._opening = asyncio.Lock()
        self._flushing = asyncio.Lock()  # what was taken is one batch at a time
        self.caught_up = asyncio.Event()  # what was left by others is in the database

    @property
    def _parent(self) -> Path:
        return self._ledger.journal.path.parent

    async def open_store(self) -> None:
        """Open the store now; a StoreError where that fails."""
        await self._get_store()

    async def run(self) -> None:
        """Write what there is, again and again, until `stop`."""
        while not self._stopping.is_set():
            await self._rest(await self.flush())

    def stop(self) -> None:
        """Let `run` end when what it is doing is done."""
        self._stopping.set()
        self._ledger.has_many.set()

    async def flush(self) -> float:
        """Write all that is there now; in how many seconds it makes sense to do it again."""
        condition = self._ledger.store
        try:
            async with self._flushing:
                await self._flush()
            self.caught_up.set()
        except (StoreError, OSError) as error:
            condition.fail(str(error))
            self._keep_held()
            wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
            self._failures += 1
            return wait_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
        condition.mend()
        self._failures = 0
        return self._flush_s

    async def save_held(self) -> None:
        """Bring what is in memory alone into the store, as many rows as it has room for.

        Fewer at a time after each failure: a disk that is nearly full takes some of them, but not
        all in one transaction.
        """
        held = self._ledger.held
        most = TAKEN_ROWS
        async with self._flushing:
            while most and (rows := held.take(most)):
                try:
                    await self._save(rows)
                except (StoreError, OSError) as error:
                    self._ledger.store.fail(str(error))
                    held.give_back()
                    most = min(most, len(rows)) // 2
                else:
                    held.commit()

    async def fetch_usage(self, query: UsageQuery) -> list[UsageRow]:
        """The sums, with all that has ended by now; StoreError where the store cannot be asked."""
        await self.flush()
        return await (await self._get_store()).fetch_usage(query)

    async def fetch_spent(self, since_ms: int, until_ms: int) -> list[Spent]:
        """What each caller used by now; StoreError where the store cannot be asked."""
        await self.flush()
        return await (await self._get_store()).fetch_spent(since_ms, until_ms)

    async def close(self) -> None:
        """Let go of the store and of journals that were not brought in."""
        for left in self._left:
            left.close()
        if self._store is not None:
            await self._store.close()

    async def _rest(self, seconds: float) -> None:
        """Wait, but not while many rows do; where the store is down they have to."""
        waited = self._stopping if self._ledger.store.is_failing else self._ledger.has_many
        try:
            async with asyncio.timeout(seconds):
                await waited.wait()
        except TimeoutError:
            return
        self._ledger.has_many.clear()

    async def _flush(self) -> None:
        await self._get_store()
        if self._taken is not None:
            await self._bring(*self._taken)
        self._look_for_left()
        while self._left:
            await self._bring_left(self._left[0])
        await self._drain_journal()
        self._report_damage()
        await self._drain(self._ledger.held)

    def _report_damage(self) -> None:
        journal = self._ledger.journal
        if journal.damaged > self._damaged:
            lines = journal.damaged - self._damaged
            _log.error("ledger.damaged", lines=lines, journal=journal.path.name)
            self._damaged = journal.damaged

    async def _bring_left(self, left: LeftJournal) -> None:
        """Bring a dead process's journal in; one that cannot be read is left for the next look."""
        try:
            await self._drain(left)
        except UnreadableError as error:
            self._left.pop(0)
            left.close()
            self._note_unreadable(left.name, error)
            return
        self._left.pop(0)
        _report(left)
        left.remove()

    def _note_unreadable(self, name: str, error: UnreadableError) -> None:
        if name not in self._unreadable:  # which it may be for ever
            self._unreadable.add(name)
            _log.error("ledger.journal_unreadable", journal=name, reason=str(error))

    async def _drain_journal(self) -> None:
        """Bring what is there now.

        What ends meanwhile waits for the next look. Taken at once it was a transaction for every
        few rows, all the time: 40 to 70 µs for each exchange of a gateway at work.
        """
        journal = self._ledger.journal
        left = journal.waiting
        while rows := journal.take():
            self._taken = (journal, rows)
            await self._bring(journal, rows)
            left -= len(rows)
            if left <= 0:
                break
        journal.commit()  # what there was besides rows

    async def _drain(self, source: Source) -> None:
        while rows := source.take():
            self._taken = (source, rows)
            await self._bring(source, rows)
        source.commit()  # what there was besides rows

    async def _bring(self, source: Source, rows: list[LedgerExchange]) -> None:
        await self._save(rows)
        if not isinstance(source, LeftJournal):  # which is read anew where it cannot be read whole
            self._set_aside_ids.difference_update(row.id for row in rows)
        self._taken = None
        source.commit()

    async def _save(self, rows: list[LedgerExchange]) -> None:
        store = await self._get_store()
        try:
            await store.save(rows)
        except RowRefusedError:
            await self._save_singly(store, rows)

    async def _get_store(self) -> LedgerStore:
        async with self._opening:
            if self._store is None:
                self._store = await self._open_store()
        return self._store

    def _keep_held(self) -> None:
        """A file may take by now what is only in memory."""
        held = self._ledger.held
        if self._taken is not None and self._taken[0] is held:
            held.give_back()
            self._taken = None
        self._ledger.write_held()

    async def _save_singly(self, store: LedgerStore, rows: list[LedgerExchange]) -> None:
        """One row that is refused must not keep the others out for ever."""
        for row in rows:
            try:
                await store.save([row])
            except RowRefusedError as error:
                if row.id in self._set_aside_ids:
                    continue
                self._set_aside(row)
                self._set_aside_ids.add(row.id)
                _log.error("ledger.row_refused", id=row.id, reason=str(error), kept_in=REFUSED)

    def _set_aside(self, row: LedgerExchange) -> None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        path = self._parent / REFUSED
        kept = Segment(path, os.open(path, flags, OWNER_ONLY))
        try:
            kept.append(encode_line(row))  # whole, or the row stays where it is
        finally:
            kept.close()

    def _look_for_left(self) -> None:
        """Take over the journals of processes that are dead, now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        for place in Place.find_left(self._parent, self._ledger.journal.path):
            try:
                self._left.append(LeftJournal(place))
            except UnreadableError as error:
                self._note_unreadable(place.path.name, error)


def _report(left: LeftJournal) -> None:
    """Say what a dead process has left, if that was anything."""
    if left.ended or left.lost or left.damaged:
        _log.info(
            "ledger.recovered",
            journal=left.name,
            settled=left.ended,
            lost=left.lost,
            damaged=left.damaged,
        )
