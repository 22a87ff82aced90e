"""The books: each exchange once, whatever the disk and the callers do."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.ledger import LedgerSpec
from gateway.core.attempts import AttemptRecord
from gateway.core.clock import monotonic
from gateway.core.errors import AccountingUnavailableError, GatewayError
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import Principal
from gateway.ledger.held_rows import HeldRows
from gateway.ledger.ledger import Ledger
from tests.plugins.bookings import (
    allow_file_bytes,
    at_once,
    begin,
    files_grow,
    finish,
    new_exchange,
    no_file_grows,
    settling,
    try_once,
)
from tests.plugins.chain import LogLines
from tests.plugins.stored_keys import Clock
from tests.unit.ledger.conftest import OpenJournal, find_left, kill, take_all


@pytest.fixture(autouse=True)
def files_grow_afterwards() -> Iterator[None]:
    """The limit is the whole process's."""
    yield
    files_grow()


@pytest.fixture(autouse=True)
def quiet(log_lines: LogLines) -> LogLines:
    """Lines go to memory: files are full here."""
    return log_lines


@pytest.fixture
def ledger(open_journal: OpenJournal) -> Ledger:
    """An open ledger with the usual settings."""
    made = Ledger(LedgerSpec(), soon=at_once)
    made.open(open_journal())
    return made


def test_an_exchange_is_booked_once(ledger: Ledger) -> None:
    """I06: under a key of its own, however often it is settled."""
    first, second = begin(ledger), begin(ledger)  # with the same request id
    for exchange in (first, second, first):
        finish(exchange)
    ledger.settle_all([first])

    rows = take_all(ledger.journal)

    assert len({row.id for row in rows}) == len(rows) == 2
    assert ledger.open_count == ledger.journal.open_count == 0


def test_a_ledger_that_is_closed_writes_nowhere(ledger: Ledger) -> None:
    """The descriptor of its file may be somebody else's socket by then."""
    exchange = begin(ledger)
    ledger.close()

    with pytest.raises(RuntimeError, match="not open"):
        ledger.settle_all([exchange])
    assert ledger.counts.backlog_bytes == 0


def test_what_was_never_sent_is_not_in_the_books(ledger: Ledger) -> None:
    """A flood of wrong keys fills no database."""
    exchange = new_exchange(observers=(settling(ledger),))

    finish(exchange, Outcome.REJECTED)

    assert take_all(ledger.journal) == []
    assert ledger.journal.backlog_bytes == 0


def test_what_was_refused_is_booked_where_that_is_wanted(open_journal: OpenJournal) -> None:
    """Once, with nothing used and no attempt; and no more than the settings say."""
    ledger = Ledger(LedgerSpec(refusals_per_minute=1), soon=at_once)
    ledger.open(open_journal())
    fields = {"started_at": monotonic(), "observers": (settling(ledger),), "error_code": "limited"}
    first, second = new_exchange(**fields), new_exchange(**fields)

    for exchange in (first, first, second):
        finish(exchange, Outcome.REJECTED)

    (row,) = take_all(ledger.journal)
    assert (row.principal, row.outcome, row.error_code) == ("alice", "rejected", "limited")
    assert (row.attempts, ledger.open_count) == ((), 0)


def test_it_is_written_before_it_is_sent(ledger: Ledger, tmp_path: Path) -> None:
    """K02: a process that is killed right after leaves it for the next one."""
    begin(ledger)
    kill(ledger.journal)

    (left,) = find_left(tmp_path)

    assert [row.outcome for row in take_all(left)] == ["lost"]
    left.remove()


def test_every_attempt_is_written_before_it_is_sent(ledger: Ledger, tmp_path: Path) -> None:
    """I09: also of what failed before."""
    exchange = begin(ledger)
    try_once(ledger, exchange)
    kill(ledger.journal)

    (left,) = find_left(tmp_path)
    (row,) = take_all(left)

    assert [attempt.number for attempt in row.attempts] == [1, 2]
    left.remove()


def test_a_clock_that_is_put_back_changes_no_duration(open_journal: OpenJournal) -> None:
    """M07: an hour back in the middle of an exchange; the next one is booked all the same."""
    clock = Clock(1_800_000_000)
    ledger = Ledger(LedgerSpec(), clock, soon=at_once)
    ledger.open(open_journal())
    first = begin(ledger)
    clock.now -= 3600
    finish(first)
    finish(begin(ledger))

    before, after = take_all(ledger.journal)

    assert 0 <= before.duration_ms < 5_000
    assert abs(before.started_at_ms - 1_800_000_000_000) < 5_000
    assert abs(after.started_at_ms - 1_799_996_400_000) < 5_000
    assert before.id != after.id


def test_a_full_disk_stops_nobody_and_loses_nothing(ledger: Ledger, log_lines: LogLines) -> None:
    """J11: rows wait in memory, and one line says so."""
    before = begin(ledger)
    no_file_grows()
    for _ in range(5):
        finish(begin(ledger))
    finish(before)
    files_grow()

    assert (ledger.counts.held, ledger.counts.unwritten) == (6, 0)
    assert len(log_lines.find("ledger.journal_failed")) == 1
    ledger.write_held()
    assert ledger.counts.held == 0
    assert len(take_all(ledger.journal)) == 6
    assert len(log_lines.find("ledger.journal_recovered")) == 1
    assert ledger.journal.open_count == 0


def test_what_ends_together_is_booked_as_if_it_had_not(ledger: Ledger) -> None:
    """One write for all of a turn: each row once, in their order."""
    exchanges = [begin(ledger) for _ in range(5)]
    for exchange in exchanges:
        exchange.observers = ()
        finish(exchange)

    ledger.settle_all([*exchanges, exchanges[0]])

    ids = [row.id for row in take_all(ledger.journal)]
    assert ids == sorted(set(ids), key=ids.index)
    assert len(ids) == 5
    assert ledger.open_count == ledger.journal.open_count == 0
    ledger.journal.commit()
    assert ledger.counts.backlog_bytes == 0


def test_of_what_ends_together_a_disk_keeps_what_it_has_room_for(ledger: Ledger) -> None:
    """J11: the write for all fails in the middle; the rest waits in memory."""
    exchanges = [begin(ledger) for _ in range(3)]
    for exchange in exchanges:
        exchange.observers = ()
        finish(exchange)
    (segment,) = ledger.journal.path.iterdir()
    used = segment.stat().st_size
    longest = used // len(exchanges) * 2  # a line that ends one is longer than one that begins it
    allow_file_bytes(used + longest)

    ledger.settle_all(exchanges)
    files_grow()

    written = take_all(ledger.journal)
    assert 0 < len(written) < 3
    assert len(written) + ledger.counts.held == 3
    ledger.write_held()
    assert len(take_all(ledger.journal)) == 3 - len(written)
    assert ledger.journal.open_count == 0


def test_what_there_is_no_room_for_is_counted(
    open_journal: OpenJournal, log_lines: LogLines
) -> None:
    """J11: a number that an alert can stand on."""
    ledger = Ledger(LedgerSpec(), held=HeldRows(room=2), soon=at_once)
    ledger.open(open_journal())
    no_file_grows()
    for _ in range(5):
        finish(begin(ledger))
    files_grow()

    assert (ledger.counts.held, ledger.counts.unwritten) == (2, 3)
    assert len(log_lines.find("ledger.journal_failed")) == 1


class Turn:
    """A turn of the loop that ends when a test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def __call__(self, callback: Callable[[], None]) -> None:
        """Wait for its end."""
        self.due.append(callback)

    def end(self) -> None:
        """All that waits for it happens."""
        due, self.due = self.due, []
        for callback in due:
            callback()


def write_ahead_in(
    ledger: Ledger, told: dict[Exchange, GatewayError | None], **fields: object
) -> Exchange:
    """An exchange whose attempt begins when the turn is over; `told` hears of it."""
    exchange = new_exchange(started_at=monotonic(), **fields)
    record = AttemptRecord(1, "sim", "m", "SIM_API_KEY", monotonic())
    exchange.note_attempt(record)
    intent = ledger.write_ahead(exchange, record)
    intent.when_done(lambda refusal: told.update({exchange: refusal}))
    return exchange


def test_what_begins_in_one_turn_is_written_at_once(
    open_journal: OpenJournal, tmp_path: Path
) -> None:
    """Before any of it may be sent, and each is told; who asks later is told at once."""
    turn, told = Turn(), dict[Exchange, GatewayError | None]()
    ledger = Ledger(LedgerSpec(), soon=turn)
    ledger.open(open_journal())
    (segment,) = ledger.journal.path.iterdir()
    exchanges = [write_ahead_in(ledger, told) for _ in range(3)]
    assert (len(turn.due), told, segment.stat().st_size) == (1, {}, 0)
    sizes: list[int] = []
    last = ledger.write_ahead(exchanges[0], AttemptRecord(2, "sim", "m", "", monotonic()))
    last.when_done(lambda _: sizes.append(segment.stat().st_size))

    turn.end()

    assert told == dict.fromkeys(exchanges)
    assert sizes == [segment.stat().st_size]  # all of it was there before
    late: list[GatewayError | None] = []
    last.when_done(late.append)
    assert late == [None]
    kill(ledger.journal)
    (left,) = find_left(tmp_path)
    assert [row.outcome for row in take_all(left)] == ["lost"] * 3
    left.remove()


def test_of_what_begins_together_begins_what_there_is_room_for(open_journal: OpenJournal) -> None:
    """J11, `on_full: refuse`: the write for all fails in the middle; the rest is refused."""
    turn, told = Turn(), dict[Exchange, GatewayError | None]()
    ledger = Ledger(LedgerSpec(on_full="refuse"), soon=turn)
    ledger.open(open_journal())
    first = write_ahead_in(ledger, told)
    turn.end()
    (segment,) = ledger.journal.path.iterdir()
    allow_file_bytes(segment.stat().st_size * 5 // 2)
    second, third = write_ahead_in(ledger, told), write_ahead_in(ledger, told)

    turn.end()
    files_grow()

    assert (told[first], told[second]) == (None, None)
    assert isinstance(told[third], AccountingUnavailableError)
    assert ledger.open_count == ledger.journal.open_count == 2


def test_who_was_refused_is_not_let_in_by_trying_again(open_journal: OpenJournal) -> None:
    """J11, `on_full: refuse`: also where the first attempt failed before it heard of that."""
    ledger = Ledger(LedgerSpec(on_full="refuse"), soon=at_once)
    ledger.open(open_journal())
    exchange = new_exchange(started_at=monotonic(), observers=(settling(ledger),))
    first = AttemptRecord(1, "sim", "m", "SIM_API_KEY", monotonic())
    exchange.note_attempt(first)
    no_file_grows()
    ledger.write_ahead(exchange, first)  # its connection fails: nobody asks what became of it

    with pytest.raises(AccountingUnavailableError):
        try_once(ledger, exchange)
    files_grow()
    try_once(ledger, exchange)
    finish(exchange)

    (row,) = take_all(ledger.journal)
    assert [attempt.number for attempt in row.attempts] == [1, 2]


def test_one_that_cannot_be_written_keeps_no_other_out(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours refuses its own request; nothing of it is sent without being booked."""
    reported: list[Exception] = []
    monkeypatch.setattr("gateway.ledger.ledger.report_failure", reported.append)
    turn, told = Turn(), dict[Exchange, GatewayError | None]()
    ledger = Ledger(LedgerSpec(), soon=turn)
    ledger.open(open_journal())
    good, bad = write_ahead_in(ledger, told), write_ahead_in(ledger, told, model="\ud800")

    turn.end()

    assert told[good] is None
    assert isinstance(told[bad], AccountingUnavailableError)
    assert [type(error) for error in reported] == [UnicodeEncodeError]
    assert ledger.open_count == 1


def test_who_leaves_before_it_is_written_is_booked_once(open_journal: OpenJournal) -> None:
    """K02: in the very turn in which the attempt was to begin."""
    turn, told = Turn(), dict[Exchange, GatewayError | None]()
    ledger = Ledger(LedgerSpec(), soon=turn)
    ledger.open(open_journal())
    exchange = write_ahead_in(ledger, told, observers=(settling(ledger),))

    finish(exchange, Outcome.CLIENT_GONE)
    turn.end()

    (row,) = take_all(ledger.journal)
    assert (row.outcome, len(row.attempts)) == ("client_gone", 1)
    assert ledger.open_count == ledger.journal.open_count == 0


def test_whoever_wants_no_unwritten_request_gets_none(open_journal: OpenJournal) -> None:
    """J11, `on_full: refuse`: refused before anything is sent, and the next one is served."""
    ledger = Ledger(LedgerSpec(on_full="refuse"), soon=at_once)
    ledger.open(open_journal())
    under_way = begin(ledger)
    no_file_grows()

    with pytest.raises(AccountingUnavailableError) as refused:
        begin(ledger)
    try_once(ledger, under_way)  # who was let in is not turned away half-way
    finish(under_way)
    files_grow()

    assert refused.value.status == 503
    assert int(refused.value.headers["Retry-After"]) > 0
    assert ledger.open_count == 0
    assert ledger.counts.held == 1
    finish(begin(ledger))


@pytest.mark.parametrize("on_full", ["serve", "refuse"])
def test_a_backlog_has_an_end(open_journal: OpenJournal, log_lines: LogLines, on_full: str) -> None:
    """J09: nothing that is written is dropped; what comes then is refused, or held and counted."""
    spec = LedgerSpec(max_backlog_bytes=1000, on_full=on_full)
    ledger = Ledger(spec, held=HeldRows(room=1), soon=at_once)
    ledger.open(open_journal())
    refused = 0
    for _ in range(10):
        try:
            finish(begin(ledger))
        except AccountingUnavailableError:
            refused += 1

    written = take_all(ledger.journal)
    counts = ledger.counts
    assert counts.backlog_bytes < 2000
    assert len(written) + counts.held + counts.unwritten + refused == 10
    assert (refused > 0) is (on_full == "refuse")
    assert len(log_lines.find("ledger.backlog_full")) == 1
    ledger.journal.commit()
    finish(begin(ledger))
    assert len(take_all(ledger.journal)) == 1
    assert len(log_lines.find("ledger.backlog_drained")) == 1


async def test_one_that_cannot_be_booked_keeps_no_other_of_its_turn_out(
    open_journal: OpenJournal,
) -> None:
    """As where a middleware of an operator's has put half of a letter into a name, or worse."""
    reported: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, what: reported.append(what["exception"])
    )
    ledger = Ledger(LedgerSpec(), soon=at_once)
    ledger.open(open_journal("own"))
    exchanges = [begin(ledger) for _ in range(5)]
    exchanges[1].principal = Principal("Zo\ud83d", "gateway_key")
    exchanges[3].attempt_records[0].started_at = None  # type: ignore[assignment]
    for exchange in exchanges:
        exchange.observers = ()
        finish(exchange)

    ledger.settle_all(exchanges)

    assert len(take_all(ledger.journal)) == 3
    assert [type(error) for error in reported] == [UnicodeEncodeError, TypeError]
