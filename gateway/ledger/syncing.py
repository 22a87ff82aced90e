"""The task that has the disk keep what the journal says.

The rule here: a request never waits for a disk. What a power failure can take is what was written
in the last `fsync_ms`; what a killed process can take is nothing.
"""

import asyncio
import os
from collections.abc import Iterable

from gateway.ledger.condition import Condition
from gateway.ledger.ledger import Ledger

MS_PER_S = 1000

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the slower one alone


async def keep_synced(ledger: Ledger, fsync_ms: int) -> None:
    """Sync what was written, at most so many milliseconds after it was, until cancelled."""
    condition = Condition("ledger.sync_failed", "ledger.sync_recovered")
    while True:
        await ledger.has_news.wait()
        await asyncio.sleep(fsync_ms / MS_PER_S)
        await sync_journal(ledger, condition)


async def sync_journal(ledger: Ledger, condition: Condition) -> None:
    """Wait until the disk has all that is written now."""
    try:
        # A thread of its own: a disk may take seconds.
        await asyncio.to_thread(_sync_all, ledger.take_news())
    except OSError as error:
        condition.fail(error.strerror or type(error).__name__)
    else:
        condition.mend()


def _sync_all(descriptors: Iterable[int]) -> None:
    """Sync each and close it; the last error is raised when all are closed."""
    failure: OSError | None = None
    for descriptor in descriptors:
        try:
            _sync(descriptor)
        except OSError as error:
            failure = error
        finally:
            os.close(descriptor)
    if failure is not None:
        raise failure
