"""Background tasks with a name and an owner.

The rule here: every task belongs to a `Tasks`, so none is garbage-collected half-way, and shutdown
waits for all of them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

ReportCrash = Callable[[str, BaseException], None]


class Tasks:
    """A set of running tasks; a crash is reported once and affects no other task."""

    def __init__(self, report_crash: ReportCrash) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._report_crash = report_crash

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start `work` under a name and keep a reference until it ends."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def wait(self, timeout_s: float) -> bool:
        """Wait until nothing runs any more; False if `timeout_s` passed first."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + timeout_s
        while self._running:  # a task may have started another
            left_s = give_up_at - loop.time()
            if left_s <= 0:
                return False
            await asyncio.wait(self._running, timeout=left_s)
        return True

    async def cancel(self) -> None:
        """Cancel all running tasks and wait for them to end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        crash = task.exception()
        if crash is not None:
            self._report_crash(task.get_name(), crash)
