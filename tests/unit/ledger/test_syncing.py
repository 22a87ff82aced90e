"""The disk is told, and no request waits for it."""

import os
import threading
from pathlib import Path

import pytest
from typing_extensions import override

from gateway.config.ledger import LedgerSpec
from gateway.ledger.journal import Journal
from gateway.ledger.ledger import Ledger
from gateway.ledger.places import Place
from gateway.ledger.syncing import Syncer, sync_all
from tests.plugins.bookings import at_once, begin, finish
from tests.plugins.chain import LogLines
from tests.plugins.scene import eventually
from tests.unit.ledger.conftest import OpenJournal

STOP_S = 10


async def test_what_is_written_is_synced_soon_after(open_journal: OpenJournal) -> None:
    """And again after the next exchange; the thread ends with the ledger."""
    threads = threading.active_count()
    ledger = Ledger(LedgerSpec(), soon=at_once)
    ledger.open(open_journal())
    syncer = Syncer(ledger, 1)
    for _ in range(3):
        finish(begin(ledger))
        assert not ledger.journal.is_synced
        await eventually(lambda: ledger.journal.is_synced, "it is synced")
    await syncer.stop(STOP_S)

    assert threading.active_count() <= threads + 1  # that of the loop's own executor


async def test_what_is_left_is_synced_at_the_end(open_journal: OpenJournal) -> None:
    """However long the time between two turns is."""
    ledger = Ledger(LedgerSpec(), soon=at_once)
    ledger.open(open_journal())
    syncer = Syncer(ledger, 1_000_000)
    begin(ledger)

    await syncer.stop(STOP_S)

    assert ledger.journal.is_synced


async def test_nothing_is_due_after_the_end(open_journal: OpenJournal, log_lines: LogLines) -> None:
    """A turn that comes too late finds no ledger."""
    ledger = Ledger(LedgerSpec(), soon=at_once)
    ledger.open(open_journal())
    syncer = Syncer(ledger, 1)
    begin(ledger)
    due = syncer._due  # noqa: SLF001 - what comes of it would come later
    await syncer.stop(STOP_S)
    ledger.close()

    assert due is not None
    assert due.cancelled()
    assert log_lines.text == ""


class PipeJournal(Journal):
    """A journal on what cannot be synced, until it can."""

    works = False

    @override
    def take_unsynced(self) -> list[int]:
        """Both ends of a pipe: the kernel refuses them (EINVAL)."""
        return super().take_unsynced() if self.works else list(os.pipe())


async def test_a_disk_that_does_not_sync_is_said_once(tmp_path: Path, log_lines: LogLines) -> None:
    """J12: and the gateway goes on; when it works again, that is said too."""
    ledger = Ledger(LedgerSpec(), soon=at_once)
    journal = PipeJournal(Place.make(tmp_path, "a"))
    ledger.open(journal)
    syncer = Syncer(ledger, 1)
    for _ in range(3):
        begin(ledger)
        await eventually(lambda: bool(log_lines.find("ledger.sync_failed")), "it is said")
    journal.works = True
    begin(ledger)
    await eventually(lambda: bool(log_lines.find("ledger.sync_recovered")), "it works again")
    await syncer.stop(STOP_S)

    assert len(log_lines.find("ledger.sync_failed")) == 1
    assert len(log_lines.find("ledger.sync_recovered")) == 1
    ledger.close()


async def pass_turn(syncer: Syncer) -> None:
    """Wait until it has planned the next one."""
    due = syncer._due  # noqa: SLF001 - no turn says that it has passed
    await eventually(lambda: syncer._due is not due, "a turn has passed")  # noqa: SLF001 - as above


async def test_a_disk_that_hangs_is_not_given_more_and_more(tmp_path: Path) -> None:
    """Each turn takes descriptors: a minute of them would be all that a process has."""
    ledger = Ledger(LedgerSpec(), soon=at_once)
    taken: list[int] = []

    class CountedJournal(Journal):
        @override
        def take_unsynced(self) -> list[int]:
            taken.append(1)
            return super().take_unsynced()

    ledger.open(CountedJournal(Place.make(tmp_path, "a")))
    syncer = Syncer(ledger, 1)
    await eventually(lambda: not syncer._is_busy, "the start is synced")  # noqa: SLF001 - as below
    taken.clear()
    syncer._is_busy = True  # noqa: SLF001 - no disk of a test's hangs
    for _ in range(20):
        begin(ledger)
        await pass_turn(syncer)
    assert taken == []
    syncer._is_busy = False  # noqa: SLF001 - it goes on
    await eventually(lambda: bool(taken), "it is synced")
    await syncer.stop(STOP_S)
    ledger.close()


@pytest.mark.parametrize("count", [0, 3])
def test_every_descriptor_is_closed(tmp_path: Path, count: int) -> None:
    """Also after one that cannot be synced."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    files = [os.open(tmp_path / str(n), os.O_CREAT | os.O_WRONLY) for n in range(count)]

    assert sync_all(files) is None
    assert isinstance(sync_all(os.pipe()), OSError)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - names alone
