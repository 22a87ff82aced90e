"""The thread that has the disk keep what the journal says.

The rule here: a request never waits for a disk. What a power failure can take is what was written
in the last `fsync_ms`; what a killed process can take is nothing.
"""

import asyncio
import os
import threading
from collections.abc import Iterable
from queue import SimpleQueue

from gateway.core.durations import MS_PER_S
from gateway.ledger.condition import Condition
from gateway.ledger.ledger import Ledger

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the slower one alone


class Syncer:
    """A thread of its own, because twenty times a second a pool of them costs as much as a disk.

    It is told by the event loop, and tells that only of a change: a disk that fails, or works.
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
        self._due: asyncio.TimerHandle | None = None  # one at a time, see `Ledger.take_news`
        self._hand_over()
        ledger.when_news = self._plan

    async def stop(self, timeout_s: float) -> None:
        """Sync what is left, and end the thread; a disk that hangs is not waited for."""
        if self._due is not None:
            self._due.cancel()
        self._ledger.when_news = None
        self._work.put(self._ledger.take_news())
        self._work.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)

    def _plan(self) -> None:
        """Something was written, for the first time since the last turn."""
        self._due = self._loop.call_later(self._delay_s, self._hand_over)

    def _hand_over(self) -> None:
        if self._is_busy:  # the disk takes its time
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
    """Sync each and close it; the last error."""
    failure: OSError | None = None
    for descriptor in descriptors:
        try:
            _sync(descriptor)
        except OSError as error:
            failure = error
        finally:
            os.close(descriptor)
    return failure
