"""The ledger against a model of thirty lines, in whatever order processes, disks and stores fail.

The rule here: whatever happened, in the end every exchange that was begun is booked once, with the
end that it had, or as lost where its process ended first.
"""

import asyncio
import errno
import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from gateway.config.ledger import LedgerSpec
from gateway.core.exchange import Exchange, Outcome
from gateway.ledger.journal import Journal
from gateway.ledger.ledger import Ledger
from gateway.ledger.places import Place
from gateway.ledger.segment import Segment
from gateway.ledger.writer import Writer
from gateway.stores.ledger import LedgerStore
from tests.plugins.bookings import at_once, begin, finish, try_once
from tests.plugins.ledgers import FickleLedgerStore

ENDS = st.sampled_from([one for one in Outcome if one is not Outcome.LOST])


class Model:
    """What is booked, what is under way (and whether a file has it), what is in memory alone."""

    def __init__(self) -> None:
        self.booked: dict[str, Outcome] = {}
        self.open: dict[str, bool] = {}
        self.held: dict[str, tuple[Outcome, bool]] = {}

    def write(self, key: str, *, is_full: bool) -> None:
        """An attempt begins."""
        self.open[key] = self.open.get(key, False) or not is_full

    def end(self, key: str, outcome: Outcome, *, is_full: bool) -> None:
        """It is settled."""
        is_written = self.open.pop(key)
        if is_full:
            self.held[key] = (outcome, is_written)
        else:
            self.booked[key] = outcome

    def flush(self, *, is_full: bool, is_down: bool) -> None:
        """What is in memory goes wherever there is room."""
        if not (is_full and is_down):
            self.booked |= {key: outcome for key, (outcome, _) in self.held.items()}
            self.held.clear()

    def die(self) -> None:
        """The process ends."""
        begun = [key for key, is_written in self.open.items() if is_written]
        begun += [key for key, (_, is_written) in self.held.items() if is_written]
        self.booked |= dict.fromkeys(begun, Outcome.LOST)
        self.open.clear()
        self.held.clear()


class Disk:
    """Whether there is room on it."""

    is_full = False


class JournalOn(Journal):
    """A journal on a disk that may be full."""

    def __init__(self, disk: Disk, place: Place, **sizes: int) -> None:
        self._disk = disk
        super().__init__(place, **sizes)

    @override
    def _append(self, line: bytes) -> Segment:
        if self._disk.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super()._append(line)


class LedgerMachine(RuleBasedStateMachine):
    """One process after another, in one directory, in front of one store."""

    @initialize(segment_bytes=st.sampled_from([1, 700, 10_000]), fresh_rows=st.integers(0, 4))
    def open(self, segment_bytes: int, fresh_rows: int) -> None:
        """Begin with nothing."""
        self.directory = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.sizes = {"segment_bytes": segment_bytes, "fresh_rows": fresh_rows}
        self.store, self.disk, self.model = FickleLedgerStore(), Disk(), Model()
        self.processes = 0
        self.exchanges: dict[str, Exchange] = {}
        self.start()

    def start(self) -> None:
        """Another process."""

        async def open_store() -> LedgerStore:
            return self.store

        self.processes += 1
        place = Place.make(Path(self.directory.name), f"process-{self.processes}")
        self.journal = JournalOn(self.disk, place, **self.sizes)
        self.ledger = Ledger(LedgerSpec(), soon=at_once)
        self.ledger.open(self.journal)
        self.writer = Writer(self.ledger, open_store)
        self.exchanges.clear()

    @rule()
    def begin(self) -> None:
        """A request goes out."""
        exchange = begin(self.ledger)
        key = self.ledger._started[exchange].key  # noqa: SLF001 - what it is booked under
        self.exchanges[key] = exchange
        self.model.write(key, is_full=self.disk.is_full)

    @precondition(lambda self: self.exchanges)
    @rule(place=st.integers(0, 99))
    def begin_again(self, place: int) -> None:
        """One of them is tried once more."""
        key = list(self.exchanges)[place % len(self.exchanges)]
        try_once(self.ledger, self.exchanges[key])
        self.model.write(key, is_full=self.disk.is_full)

    @precondition(lambda self: self.exchanges)
    @rule(place=st.integers(0, 99), outcome=ENDS)
    def end(self, place: int, outcome: Outcome) -> None:
        """One of them ends, twice."""
        key = list(self.exchanges)[place % len(self.exchanges)]
        exchange = self.exchanges.pop(key)
        finish(exchange, outcome)
        self.ledger.settle_all([exchange])
        self.model.end(key, outcome, is_full=self.disk.is_full)

    @precondition(lambda self: self.exchanges)
    @rule(outcome=ENDS)
    def end_all(self, outcome: Outcome) -> None:
        """All of them end in one turn."""
        keys, exchanges = list(self.exchanges), list(self.exchanges.values())
        self.exchanges.clear()
        for exchange in exchanges:
            exchange.observers = ()
            finish(exchange, outcome)
        self.ledger.settle_all(exchanges)
        for key in keys:
            self.model.end(key, outcome, is_full=self.disk.is_full)

    @rule()
    def flush(self) -> None:
        """The writer's turn comes."""
        self.loop.run_until_complete(self.writer.flush())
        self.model.flush(is_full=self.disk.is_full, is_down=self.store.is_down)

    @precondition(lambda self: not self.model.held)
    @rule()
    def flush_unheard(self) -> None:
        """The database commits, and its answer is lost on the way."""
        self.store.fails_after_commit = True
        self.loop.run_until_complete(self.writer.flush())
        self.store.fails_after_commit = False

    @rule(is_down=st.booleans())
    def set_store(self, *, is_down: bool) -> None:
        """The database goes, or comes back."""
        self.store.is_down = is_down

    @rule(is_full=st.booleans())
    def set_disk(self, *, is_full: bool) -> None:
        """The disk is full, or has room."""
        self.disk.is_full = is_full

    @rule()
    def kill(self) -> None:
        """The process is killed, and another one starts."""
        os.close(self.journal._place.descriptor)  # noqa: SLF001 - as the kernel does
        for segment in self.journal._segments:  # noqa: SLF001 - the same
            segment.close()
        self.loop.run_until_complete(self.writer.close())  # what it had taken over is left again
        self.model.die()
        self.start()

    @rule()
    def stop(self) -> None:
        """The process ends in order, whatever is still under way."""
        self.flush()
        self.ledger.write_held()
        self.journal.close()
        self.loop.run_until_complete(self.writer.close())
        self.model.die()
        self.start()

    @invariant()
    def nothing_is_booked_that_was_not_so(self) -> None:
        """Nor under a key that nobody used."""
        for key, row in getattr(self, "store", FickleLedgerStore()).rows.items():
            assert self.model.booked[key] is row.outcome

    def teardown(self) -> None:
        """The database is back, there is room, and everything arrives."""
        if not hasattr(self, "store"):
            return
        self.store.is_down = self.disk.is_full = False
        self.flush()
        self.kill()
        self.flush()
        booked = {key: row.outcome for key, row in self.store.rows.items()}
        assert booked == self.model.booked
        self.stop()
        self.journal.close()
        assert list(Path(self.directory.name).iterdir()) == []
        self.loop.close()
        self.directory.cleanup()


def test_whatever_fails_the_books_are_right() -> None:
    """J08, J09, J11, K02: with files of one line, of few and of many."""
    run_state_machine_as_test(
        LedgerMachine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None)
    )
