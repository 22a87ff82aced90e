"""The books of one process: an exchange is written before it is sent anything, and when it ends.

The rule here: each exchange is booked once, under a key of our own: a caller's request id may come
twice. Nothing here is awaited, so a caller who leaves at any moment is booked like any other.
"""

import asyncio
import itertools

from gateway.config.ledger import LedgerSpec
from gateway.core.attempts import AttemptRecord
from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.errors import AccountingUnavailableError
from gateway.core.exchange import Exchange
from gateway.core.ledger_numbers import LedgerNumbers
from gateway.ledger.condition import Condition
from gateway.ledger.held_rows import HeldRows
from gateway.ledger.journal import Journal
from gateway.ledger.records import Begin, encode_line
from gateway.ledger.rows import MS_PER_S, Started, begin_of, end_of
from gateway.stores.ledger import LedgerExchange

RETRY_AFTER_S = 5


class Ledger:
    """Where the relay says what it is about to do, and hears nothing back unless it must not."""

    def __init__(
        self, spec: LedgerSpec, wall: Clock = system_clock, held: HeldRows | None = None
    ) -> None:
        self._spec = spec
        self._wall = wall
        self._started: dict[Exchange, Started] = {}
        self._numbers = itertools.count(1)
        self._journal: Journal | None = None
        self._room = Condition("ledger.backlog_full", "ledger.backlog_drained")
        self._written = Condition("ledger.journal_failed", "ledger.journal_recovered")
        self.store = Condition("ledger.store_down", "ledger.store_up")
        self.held = HeldRows() if held is None else held
        self.unwritten = 0
        self.has_news = asyncio.Event()  # something was written and is not synced
        self.has_many = asyncio.Event()  # so much has ended that the writer should not wait

    @property
    def journal(self) -> Journal:
        """Where it is written; there while the gateway runs."""
        if self._journal is None:
            raise RuntimeError("The ledger is not open.")
        return self._journal

    @property
    def counts(self) -> LedgerNumbers:
        """How it is doing."""
        backlog = 0 if self._journal is None else self._journal.backlog_bytes
        return LedgerNumbers(
            backlog, len(self.held), self.unwritten, is_store_down=self.store.is_failing
        )

    @property
    def open_count(self) -> int:
        """Exchanges that have begun and are not settled."""
        return len(self._started)

    def open(self, journal: Journal) -> None:
        """Begin to write there."""
        self._journal = journal

    def close(self) -> None:
        """Write no more: nothing is in flight."""
        self.journal.close()
        self._journal = None

    def write_ahead(self, exchange: Exchange, attempt: AttemptRecord) -> None:
        """Write that an attempt is about to begin; to be called before anything of it is sent.

        Raises AccountingUnavailableError where it cannot be written, the settings want that it is,
        and this is the first attempt: who was let in is not turned away half-way.
        """
        known = self._started.get(exchange)
        started = self._start(exchange) if known is None else known
        begin = begin_of(exchange, started, attempt)
        if not self._write_begin(begin) and known is None and self._spec.on_full == "refuse":
            raise AccountingUnavailableError(
                "The gateway cannot keep account of this request just now; try again.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._started[exchange] = started

    def settle(self, exchange: Exchange) -> None:
        """Book what became of a settled exchange; an observer."""
        started = self._started.pop(exchange, None)
        if started is None:
            return
        row = end_of(exchange, started)
        if self._write_end(row):
            return
        self.journal.forget(row.id)
        if not self.held.hold(row):
            self.unwritten += 1

    def write_held(self) -> None:
        """Try once more to write what is held in memory."""
        while self.held and self._write_end(self.held.first):
            self.held.drop_first()

    def _start(self, exchange: Exchange) -> Started:
        before_s = monotonic() - exchange.started_at
        at_ms = int((self._wall() - before_s) * MS_PER_S)
        key = f"{self.journal.path.name}-{next(self._numbers):x}"
        return Started(key, at_ms, exchange.started_at)

    def _write_begin(self, begin: Begin) -> bool:
        if self._is_full():
            return False
        try:
            self.journal.begin(begin.id, encode_line(begin))
        except OSError as error:
            self._written.fail(error.strerror or type(error).__name__)
            return False
        return self._note_written()

    def _write_end(self, row: LedgerExchange) -> bool:
        if self._is_full():
            return False
        try:
            self.journal.end(row, encode_line(row))
        except OSError as error:
            self._written.fail(error.strerror or type(error).__name__)
            return False
        if self.journal.has_many:
            self.has_many.set()
        return self._note_written()

    def _note_written(self) -> bool:
        if self._written.is_failing:
            self._written.mend()
        if not self.has_news.is_set():
            self.has_news.set()
        return True

    def _is_full(self) -> bool:
        if self.journal.backlog_bytes < self._spec.max_backlog_bytes:
            self._room.mend()
            return False
        self._room.fail(f"{self._spec.max_backlog_bytes} bytes wait for the database")
        return True
