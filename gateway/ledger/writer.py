"""The task that saves rows to the database.

The rule here: a row leaves the journal only after it is committed. Rows that were taken but not
committed are kept and written again; the store ignores rows that it already has.
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

# How often rows are saved, or earlier if there are many: a transaction costs as much as 100 rows.
FLUSH_S: Final = 2.0
LOOK_S: Final = 60.0  # how often we look for journals of dead processes
BACK_OFF_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
JITTER: Final = 0.2  # several gateways should not reconnect at the same moment
REFUSED: Final = "refused.journal"

OpenStore = Callable[[], Awaitable[LedgerStore]]

_log = structlog.get_logger()


class Source(Protocol):
    """Where rows come from: a journal, or memory."""

    def take(self) -> list[LedgerExchange]:
        """The next rows; empty if there are no more for now."""

    def commit(self) -> None:
        """The rows that were taken are in the database."""


class Writer:
    """Saves rows from the journals of a directory to a store."""

    def __init__(self, ledger: Ledger, open_store: OpenStore, *, flush_s: float = FLUSH_S) -> None:
        self._ledger = ledger
        self._open_store = open_store
        self._flush_s = flush_s
        self._store: LedgerStore | None = None
        self._taken: tuple[Source, list[LedgerExchange]] | None = None
        self._left: list[LeftJournal] = []
        self._look_at = 0.0
        self._unreadable: set[str] = set()  # journals already logged as unreadable
        self._failures = 0
        self._damaged = 0
        self._set_aside_ids: set[str] = set()  # ids of refused rows that may be read again
        self._stopping = asyncio.Event()
        self._opening = asyncio.Lock()
        self._flushing = asyncio.Lock()  # one batch is taken and saved at a time
        self.caught_up = asyncio.Event()  # set once the rows of dead processes are saved

    @property
    def _parent(self) -> Path:
        return self._ledger.journal.path.parent

    async def open_store(self) -> None:
        """Open the store now; StoreError if that fails."""
        await self._get_store()

    async def run(self) -> None:
        """Save whatever there is, repeatedly, until `stop`."""
        while not self._stopping.is_set():
            await self._rest(await self.flush())

    def stop(self) -> None:
        """Let `run` end after its current step."""
        self._stopping.set()
        self._ledger.has_many.set()

    async def flush(self) -> float:
        """Save all that is there now; returns how many seconds to wait before the next time."""
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
        """Save the rows that exist only in memory, as many as the store has room for.

        It tries fewer at a time after each failure, because a nearly full disk takes some rows but
        not all in one transaction.
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
        """The sums over everything that has ended by now; StoreError from the store."""
        await self.flush()
        return await (await self._get_store()).fetch_usage(query)

    async def fetch_spent(self, since_ms: int, until_ms: int) -> list[Spent]:
        """What each caller has used by now; StoreError from the store."""
        await self.flush()
        return await (await self._get_store()).fetch_spent(since_ms, until_ms)

    async def close(self) -> None:
        """Close the store, and release the journals that were not completely saved."""
        for left in self._left:
            left.close()
        if self._store is not None:
            await self._store.close()

    async def _rest(self, seconds: float) -> None:
        """Wait, but stop early if there are many rows, unless the store is down."""
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
        """Save a dead process's journal; an unreadable one is tried again at the next look."""
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
        if name not in self._unreadable:  # log once, as it may stay unreadable for ever
            self._unreadable.add(name)
            _log.error("ledger.journal_unreadable", journal=name, reason=str(error))

    async def _drain_journal(self) -> None:
        """Save the rows of our own journal that are there now.

        Rows that arrive meanwhile wait for the next round. Saving them at once meant a transaction
        for every few rows, all the time: 40 to 70 µs per exchange in a busy gateway.
        """
        journal = self._ledger.journal
        left = journal.waiting
        while rows := journal.take():
            self._taken = (journal, rows)
            await self._bring(journal, rows)
            left -= len(rows)
            if left <= 0:
                break
        journal.commit()  # also frees files without rows

    async def _drain(self, source: Source) -> None:
        while rows := source.take():
            self._taken = (source, rows)
            await self._bring(source, rows)
        source.commit()  # also frees files without rows

    async def _bring(self, source: Source, rows: list[LedgerExchange]) -> None:
        await self._save(rows)
        if not isinstance(source, LeftJournal):  # a left journal may be read again from its start
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
        """Try to write the rows that exist only in memory to a file."""
        held = self._ledger.held
        if self._taken is not None and self._taken[0] is held:
            held.give_back()
            self._taken = None
        self._ledger.write_held()

    async def _save_singly(self, store: LedgerStore, rows: list[LedgerExchange]) -> None:
        """Save rows one by one, so that a refused row does not keep the others out for ever."""
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
            kept.append(encode_line(row))  # if this fails, the row stays where it is
        finally:
            kept.close()

    def _look_for_left(self) -> None:
        """Take over the journals of dead processes, every LOOK_S."""
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
    """Log what a dead process had left, if anything."""
    if left.ended or left.lost or left.damaged:
        _log.info(
            "ledger.recovered",
            journal=left.name,
            settled=left.ended,
            lost=left.lost,
            damaged=left.damaged,
        )
