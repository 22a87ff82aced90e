"""The ledger of one process: an exchange is written before anything is sent, and when it ends.

The rule here: each exchange is booked once, under our own key, because a caller may use a request
id twice. Nothing here is awaited, so an exchange is booked whenever its caller leaves.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from gateway.config.ledger import LedgerSpec
from gateway.core.afterwards import each
from gateway.core.attempts import AttemptRecord
from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.durations import MS_PER_S
from gateway.core.errors import AccountingUnavailableError, GatewayError
from gateway.core.exchange import Exchange, report_failure
from gateway.core.ledger_numbers import LedgerNumbers
from gateway.core.retry_after import come_back
from gateway.ledger.condition import Condition
from gateway.ledger.given_up import report_given_up
from gateway.ledger.held_rows import HeldRows
from gateway.ledger.journal import Journal
from gateway.ledger.records import Begin, End, encode_line
from gateway.ledger.refusals import Refusals
from gateway.ledger.rows import Started, begin_of, end_of

RETRY_AFTER_S = 5

RecordT = TypeVar("RecordT", Begin, End)
Soon = Callable[[Callable[[], None]], None]
"""Calls something when the present turn of the loop is over."""


class Intent:
    """An attempt about to begin, and the callback that waits until it is written."""

    __slots__ = ("_is_done", "_refusal", "_then", "attempt", "exchange")

    def __init__(self, exchange: Exchange, attempt: AttemptRecord) -> None:
        self.exchange = exchange
        self.attempt = attempt
        self._is_done = False
        self._refusal: GatewayError | None = None
        self._then: Callable[[GatewayError | None], None] | None = None

    def when_done(self, then: Callable[[GatewayError | None], None]) -> None:
        """Call `then` once the attempt may begin, or with the reason if it may not.

        That happens at once if it is already decided. It is a callback because waking the caller's
        task would resume through every middleware.
        """
        if self._is_done:
            then(self._refusal)
        else:
            self._then = then

    def resolve(self, refusal: GatewayError | None) -> None:
        """Decide: the attempt may begin, or must not because of `refusal`."""
        self._is_done, self._refusal = True, refusal
        then, self._then = self._then, None
        if then is not None:
            then(refusal)


class Ledger:
    """Books what the relay is about to do; it may refuse an attempt that it cannot book."""

    def __init__(
        self,
        spec: LedgerSpec,
        wall: Clock = system_clock,
        held: HeldRows | None = None,
        soon: Soon | None = None,
    ) -> None:
        self._max_backlog_bytes = spec.max_backlog_bytes
        self._refuses_when_full = spec.on_full == "refuse"
        self._wall = wall
        self._started: dict[Exchange, Started] = {}
        self._intents: list[Intent] = []
        self._soon = soon or _in_the_next_turn
        self._refusals = Refusals(spec.refusals_per_minute)
        self._numbers = itertools.count(1)
        self._journal: Journal | None = None
        self._journal_name = ""  # cached: `path.name` takes 1 µs
        self._room = Condition("ledger.backlog_full", "ledger.backlog_drained")
        self._written = Condition("ledger.journal_failed", "ledger.journal_recovered")
        self.store = Condition("ledger.store_down", "ledger.store_up")
        self.held = HeldRows() if held is None else held
        self.unwritten = 0
        self._is_troubled = False
        self._is_told = False
        # Called when something unsynced was written, then not again until `take_news`.
        self.when_news: Callable[[], None] | None = None
        self.has_many = asyncio.Event()  # enough has ended that the writer should not wait

    @property
    def journal(self) -> Journal:
        """The journal; exists while the gateway runs."""
        if self._journal is None:
            raise RuntimeError("The ledger is not open.")
        return self._journal

    @property
    def counts(self) -> LedgerNumbers:
        """The numbers for the metrics."""
        backlog = 0 if self._journal is None else self._journal.backlog_bytes
        return LedgerNumbers(
            backlog, len(self.held), self.unwritten, is_store_down=self.store.is_failing
        )

    @property
    def open_count(self) -> int:
        """How many exchanges have begun and are not settled."""
        return len(self._started)

    def open(self, journal: Journal) -> None:
        """Write to this journal from now on."""
        self._journal = journal
        self._journal_name = journal.path.name
        self.held.when_kept = journal.forget

    def close(self) -> None:
        """Stop writing: nothing is in flight any more."""
        self.journal.close()
        self._journal = None

    def write_ahead(self, exchange: Exchange, attempt: AttemptRecord) -> Intent:
        """Write that an attempt is about to begin; nothing may be sent before the intent is done.

        All attempts that begin in one loop iteration are written together in the next: with a write
        for each, a JSON request took 6 % longer. If it cannot be written and the settings require
        it, the attempt must not begin. The exception is an exchange with an earlier attempt: a
        caller who was let in is not refused half-way.
        """
        intent = Intent(exchange, attempt)
        self._intents.append(intent)
        if len(self._intents) == 1:
            self._soon(self._write_intents)
        return intent

    def settle_all(self, exchanges: Sequence[Exchange]) -> None:
        """Book settled exchanges; an observer of all that ended in one loop iteration."""
        if self._intents:  # beginnings must be written before their ends
            self._write_intents()
        journal = self.journal
        ended: list[tuple[End, bytes]] = []
        each(partial(self._add_end, ended))(exchanges)  # if one fails, the others are still booked
        if len(ended) > 1 and self._write_all(
            journal, journal.end_all, [end for end, _ in ended], [line for _, line in ended]
        ):
            ended = []
        for end, line in ended:
            # Its beginning stays in the journal until the end is saved: at worst it is booked as
            # lost, and not missing altogether.
            if not self._write(journal, journal.end, end, line) and not self.held.hold(end):
                self.unwritten += 1
        if journal.has_many:
            self.has_many.set()

    def take_news(self) -> list[int]:
        """Descriptors for a thread to sync and close."""
        self._is_told = False
        return self.journal.take_unsynced()

    def write_held(self) -> None:
        """Try again to write what is held in memory."""
        while self.held:
            first = self.held.first
            journal = self.journal
            if not self._write(journal, journal.end, first, encode_line(first)):
                break
            self.held.drop_first()

    def give_up_held(self) -> None:
        """At the end of the process, count and log the rows that exist only in memory."""
        rows = self.held.give_up()
        if rows:
            self.unwritten += len(rows)
            lost = self.journal.count_begun(row.id for row in rows)
            report_given_up(rows, lost=lost)

    def _start(self, exchange: Exchange) -> Started:
        before_s = monotonic() - exchange.started_at
        at_ms = int((self._wall() - before_s) * MS_PER_S)
        key = f"{self._journal_name}-{next(self._numbers):x}"
        return Started(key, at_ms, exchange.started_at)

    def _write_intents(self) -> None:
        """Write the pending intents, and let their attempts begin."""
        intents, self._intents = self._intents, []
        fresh: dict[Exchange, Started] = {}
        begun: list[tuple[Intent, Begin, bytes]] = []
        for intent in intents:
            try:
                begun.append((intent, *self._begin(intent, fresh)))
            except Exception as error:  # noqa: BLE001 - only its own request fails with it
                report_failure(error)
                intent.resolve(_refuse())
        journal = self.journal
        is_written = len(begun) > 1 and self._write_all(
            journal,
            journal.begin_all,
            [begin for _, begin, _ in begun],
            [line for *_, line in begun],
        )
        for intent, begin, line in begun:
            exchange = intent.exchange
            if (
                is_written
                or self._write(journal, journal.begin, begin, line)
                or exchange in self._started
                or not self._refuses_when_full
            ):
                if exchange in fresh:
                    self._started[exchange] = fresh[exchange]
                intent.resolve(None)
            else:
                intent.resolve(_refuse())

    def _begin(self, intent: Intent, fresh: dict[Exchange, Started]) -> tuple[Begin, bytes]:
        """The record of an attempt that is about to begin, and its line."""
        exchange = intent.exchange
        started = self._started.get(exchange) or fresh.get(exchange)
        if started is None:
            started = fresh[exchange] = self._start(exchange)
        begin = begin_of(exchange, started, intent.attempt)
        return begin, encode_line(begin)

    def _add_end(self, ended: list[tuple[End, bytes]], exchange: Exchange) -> None:
        """Add the record of a settled exchange and its line, if it is to be booked."""
        started = self._started.pop(exchange, None)
        if started is None:  # it never went to a provider
            if not self._refusals.take(exchange):
                return
            started = self._start(exchange)
        end = end_of(exchange, started)
        ended.append((end, encode_line(end)))

    def _write_all(
        self,
        journal: Journal,
        append_all: Callable[[Sequence[RecordT], Sequence[bytes]], None],
        records: Sequence[RecordT],
        lines: Sequence[bytes],
    ) -> bool:
        """Write several lines at once; False if none of them was written."""
        if journal.backlog_bytes >= self._max_backlog_bytes:
            return False
        try:
            append_all(records, lines)
        except OSError:  # write one by one instead, as many as fit; failures are noted there
            return False
        self._note_written()
        return True

    def _write(
        self,
        journal: Journal,
        append: Callable[[RecordT, bytes], None],
        record: RecordT,
        line: bytes,
    ) -> bool:
        """Write a line; False if it was not written."""
        if journal.backlog_bytes >= self._max_backlog_bytes:
            return self._note_full()
        try:
            append(record, line)
        except OSError as error:
            return self._note_failed(error)
        self._note_written()
        return True

    def _note_written(self) -> None:
        if self._is_troubled:
            self._note_well()
        if not self._is_told and self.when_news is not None:
            self._is_told = True
            self.when_news()

    def _note_full(self) -> bool:
        self._is_troubled = True
        self._room.fail(f"{self._max_backlog_bytes} bytes wait for the database")
        return False

    def _note_failed(self, error: OSError) -> bool:
        self._is_troubled = True
        self._written.fail(error.strerror or type(error).__name__)
        return False

    def _note_well(self) -> None:
        self._is_troubled = False
        self._room.mend()
        self._written.mend()


def _in_the_next_turn(callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(callback)


def _refuse() -> AccountingUnavailableError:
    return AccountingUnavailableError(
        "The gateway cannot keep account of this request just now; try again.",
        headers=come_back(RETRY_AFTER_S),
    )
