"""From rules and counters to limits that are kept, and back to nothing.

The rule here: counters that cannot be had stop the start; a ledger that does not answer does not.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from gateway.config.limit_rules import LimitSpec
from gateway.core.tasks import ReportCrash, Tasks
from gateway.limits.limiter import Limiter
from gateway.limits.recall import (
    Books,
    SharedStore,
    find_recallable,
    keep_recalling,
    keep_recalling_shared,
    report_forgotten,
)
from gateway.stores.counters import LEASE_S, CounterStore
from gateway.stores.memory_counters import MemoryCounters

RENEW_S: Final = LEASE_S / 3  # twice before a lease runs out
RECALL_S: Final = 3.0  # for the sums of the ledger; then they are added when they come


@asynccontextmanager
async def keep_holds(
    limiter: Limiter, counters: CounterStore, tasks: Tasks, *, every_s: float = RENEW_S
) -> AsyncIterator[None]:
    """Renew what the requests in flight hold while this is entered; StoreError without counters."""
    await counters.open()
    tasks.spawn("renew_holds", renew_holds(limiter, every_s))
    try:
        yield
    finally:
        await tasks.cancel()
        await counters.close()


async def renew_holds(limiter: Limiter, every_s: float) -> None:
    """Renew until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        await limiter.renew()


@asynccontextmanager
async def recalling(
    specs: Iterable[LimitSpec],
    counters: CounterStore | SharedStore | None,
    books: Books | None,
    report_crash: ReportCrash,
) -> AsyncIterator[None]:
    """Let days and months go on where the ledger says, whenever counters begin anew."""
    specs = tuple(specs)
    rules = find_recallable(specs)
    if isinstance(counters, MemoryCounters):
        report_forgotten(specs)
    tasks = Tasks(report_crash)
    if not rules or books is None:
        pass  # nothing to recall, or nobody who could tell
    elif isinstance(counters, MemoryCounters):
        tasks.spawn("recall_spent", keep_recalling(rules, counters, books))
        await tasks.wait(RECALL_S)
    elif isinstance(counters, SharedStore):
        tasks.spawn("recall_spent", keep_recalling_shared(rules, counters, books))
    try:
        yield
    finally:
        await tasks.cancel()
