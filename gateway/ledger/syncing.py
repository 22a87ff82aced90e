"""The thread that syncs the journal to disk.

The rule here: no request waits for a disk. A power failure can lose what was written in the last
`fsync_ms`; killing the process loses nothing.
"""

import asyncio
import os
import threading
from collections.abc import Iterable
from queue import SimpleQueue

from gateway.core.durations import MS_PER_S
from gateway.ledger.condition import Condition
from gateway.ledger.ledger import Ledger

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the slower one


class Syncer:
    """A dedicated thread, because a thread pool used 20 times a second costs as much as the disk.

    The event loop gives it work, and it reports back only changes: the disk fails, or works again.
    """

    def __init__(self, ledger: Ledger, fsync_ms: int) -> None:
        self._ledger = ledger
        self._delay_s = fsync_ms / MS_PER_S
        self._loop = asyncio.get_running_loop()
        self._condition = Condition("ledger.sync_failed", "ledger.sync_recovered")
        self._work: SimpleQueue[list[int] | None] = SimpleQueue()
        self._is_busy = False
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="sync_journal", daemon=True)
        self._thread.start()
        self._due: asyncio.TimerHandle | None = None  # at most one, see `Ledger.take_news`
        self._hand_over()
        ledger.when_news = self._plan

    async def stop(self, timeout_s: float) -> None:
        """Sync what is left and end the thread; does not wait for a disk that hangs."""
        if self._due is not None:
            self._due.cancel()
        self._ledger.when_news = None
        self._work.put(self._ledger.take_news())
        self._work.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)

    def _plan(self) -> None:
        """Schedule a sync: something was written for the first time since the last one."""
        self._due = self._loop.call_later(self._delay_s, self._hand_over)

    def _hand_over(self) -> None:
        if self._is_busy:  # the disk is still busy with the last sync
            self._plan()
            return
        self._is_busy = True
        self._work.put(self._ledger.take_news())

    def _run(self) -> None:
        while (descriptors := self._work.get()) is not None:
            failure = sync_all(descriptors)
            self._is_busy = False
            if self._is_failing or failure is not None:
                self._is_failing = failure is not None
                self._loop.call_soon_threadsafe(self._note, failure)

    def _note(self, failure: OSError | None) -> None:
        if failure is None:
            self._condition.mend()
        else:
            self._condition.fail(failure.strerror or type(failure).__name__)


def sync_all(descriptors: Iterable[int]) -> OSError | None:
    """Sync and close each descriptor; the last error, if any."""
    failure: OSError | None = None
    for descriptor in descriptors:
        try:
            _sync(descriptor)
        except OSError as error:
            failure = error
        finally:
            os.close(descriptor)
    return failure
