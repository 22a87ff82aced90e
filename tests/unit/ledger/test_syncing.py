"""The disk is told, and no request waits for it."""

import asyncio
import os

import pytest
from typing_extensions import override

from gateway.config.ledger import LedgerSpec
from gateway.ledger.condition import Condition
from gateway.ledger.journal import Journal
from gateway.ledger.ledger import Ledger
from gateway.ledger.places import Place
from gateway.ledger.syncing import keep_synced, sync_journal
from tests.plugins.chain import LogLines
from tests.plugins.scene import eventually
from tests.unit.ledger.conftest import OpenJournal
from tests.unit.ledger.test_ledger import begin, finish


async def test_what_is_written_is_synced_soon_after(open_journal: OpenJournal) -> None:
    """And again after the next exchange."""
    ledger = Ledger(LedgerSpec())
    ledger.open(open_journal())
    syncing = asyncio.ensure_future(keep_synced(ledger, 1))
    for _ in range(2):
        finish(begin(ledger))
        assert not ledger.journal.is_synced
        await eventually(lambda: ledger.journal.is_synced, "it is synced")
    syncing.cancel()
    await asyncio.gather(syncing, return_exceptions=True)


class PipeJournal(Journal):
    """A journal on what cannot be synced."""

    @override
    def take_unsynced(self) -> list[int]:
        """Both ends of a pipe: the kernel refuses them (EINVAL)."""
        return list(os.pipe())


async def test_a_disk_that_does_not_sync_is_said_once(tmp_path, log_lines: LogLines) -> None:
    """J12: and the gateway goes on; every descriptor is closed."""
    ledger = Ledger(LedgerSpec())
    journal = PipeJournal(Place.make(tmp_path, "a"))
    ledger.open(journal)
    condition = Condition("ledger.sync_failed", "ledger.sync_recovered")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    for _ in range(3):
        await sync_journal(ledger, condition)

    assert len(log_lines.find("ledger.sync_failed")) == 1
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - names alone
    journal.close()


@pytest.mark.parametrize("count", [0, 3])
async def test_what_there_is_is_synced_at_once(open_journal: OpenJournal, count: int) -> None:
    """At the end, when nothing waits any more."""
    ledger = Ledger(LedgerSpec())
    ledger.open(open_journal())
    for _ in range(count):
        begin(ledger)

    await sync_journal(ledger, Condition("a", "b"))

    assert ledger.journal.is_synced
