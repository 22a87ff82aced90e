"""The books of one process: an exchange is written before it is sent anything, and when it ends.

The rule here: each exchange is booked once, under a key of our own: a caller's request id may come
twice. Nothing here is awaited, so a caller who leaves at any moment is booked like any other.
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
    """An attempt that is about to begin, and whoever waits for its being written."""

    __slots__ = ("_is_done", "_refusal", "_then", "attempt", "exchange")

    def __init__(self, exchange: Exchange, attempt: AttemptRecord) -> None:
        self.exchange = exchange
        self.attempt = attempt
        self._is_done = False
        self._refusal: GatewayError | None = None
        self._then: Callable[[GatewayError | None], None] | None = None

    def when_done(self, then: Callable[[GatewayError | None], None]) -> None:
        """Call this once the attempt may begin, or with why it must not: now, if that is known.

        A callback, because to wake the caller's task goes through every middleware again.
        """
        if self._is_done:
            then(self._refusal)
        else:
            self._then = then

    def resolve(self, refusal: GatewayError | None) -> None:
        """It may begin, or must not."""
        self._is_done, self._refusal = True, refusal
        then, self._then = self._then, None
        if then is not None:
            then(refusal)


class Ledger:
    """Where the relay says what it is about to do, and hears nothing back unless it must not."""

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
        self._journal_name = ""  # to ask a path for its name takes 1 µs
        self._room = Condition("ledger.backlog_full", "ledger.backlog_drained")
        self._written = Condition("ledger.journal_failed", "ledger.journal_recovered")
        self.store = Condition("ledger.store_down", "ledger.store_up")
        self.held = HeldRows() if held is None else held
        self.unwritten = 0
        self._is_troubled = False
        self._is_told = False
        # Called when something was written and is not synced, once until `take_news`.
        self.when_news: Callable[[], None] | None = None
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
        self._journal_name = journal.path.name
        self.held.when_kept = journal.forget

    def close(self) -> None:
        """Write no more: nothing is in flight."""
        self.journal.close()
        self._journal = None

    def write_ahead(self, exchange: Exchange, attempt: AttemptRecord) -> Intent:
        """Write that an attempt is about to begin; nothing of it may be sent before that is done.

        All that begin in one turn of the loop are written together, in the next: with a write for
        each a JSON request took 6 % longer. Where it cannot be written and the settings want that
        it is, it must not begin, unless an earlier attempt has: who was let in is not turned away
        half-way.
        """
        intent = Intent(exchange, attempt)
        self._intents.append(intent)
        if len(self._intents) == 1:
            self._soon(self._write_intents)
        return intent

    def settle_all(self, exchanges: Sequence[Exchange]) -> None:
        """Book what became of settled exchanges; an observer of all that ended in a turn."""
        if self._intents:  # whoever ends before they begin has begun for the books
            self._write_intents()
        journal = self.journal
        ended: list[tuple[End, bytes]] = []
        each(partial(self._add_end, ended))(exchanges)  # one that fails keeps no other out
        if len(ended) > 1 and self._write_all(
            journal, journal.end_all, [end for end, _ in ended], [line for _, line in ended]
        ):
            ended = []
        for end, line in ended:
            # Its beginning stays in the journal until then: lost is better than nowhere.
            if not self._write(journal, journal.end, end, line) and not self.held.hold(end):
                self.unwritten += 1
        if journal.has_many:
            self.has_many.set()

    def take_news(self) -> list[int]:
        """Descriptors for a thread to sync and to close."""
        self._is_told = False
        return self.journal.take_unsynced()

    def write_held(self) -> None:
        """Try once more to write what is held in memory."""
        while self.held:
            first = self.held.first
            journal = self.journal
            if not self._write(journal, journal.end, first, encode_line(first)):
                break
            self.held.drop_first()

    def give_up_held(self) -> None:
        """Count what is in memory alone when the process ends, and say what it was."""
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
        """Write what was to be written ahead, and let it begin."""
        intents, self._intents = self._intents, []
        fresh: dict[Exchange, Started] = {}
        begun: list[tuple[Intent, Begin, bytes]] = []
        for intent in intents:
            try:
                begun.append((intent, *self._begin(intent, fresh)))
            except Exception as error:  # noqa: BLE001 - its own request fails with it, and no other
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
        """What is booked of an attempt that is about to begin, and its line."""
        exchange = intent.exchange
        started = self._started.get(exchange) or fresh.get(exchange)
        if started is None:
            started = fresh[exchange] = self._start(exchange)
        begin = begin_of(exchange, started, intent.attempt)
        return begin, encode_line(begin)

    def _add_end(self, ended: list[tuple[End, bytes]], exchange: Exchange) -> None:
        """What is booked of a settled exchange, if anything is, and its line."""
        started = self._started.pop(exchange, None)
        if started is None:  # nothing of it went to a provider
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
        """Write several lines at once; False when none of them is anywhere."""
        if journal.backlog_bytes >= self._max_backlog_bytes:
            return False
        try:
            append_all(records, lines)
        except OSError:  # one by one, as many as there is room for; what fails then is noted
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
        """Write a line; False when it is nowhere."""
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
