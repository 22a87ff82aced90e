"""Starting and stopping the limits: opening counters, renewing holds, recalling what was spent.

The rule here: if the counters cannot be opened, the gateway does not start. It does start if the
ledger does not answer.
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

RENEW_S: Final = LEASE_S / 3  # two chances before a lease runs out
RECALL_S: Final = 3.0  # how long the start waits for the ledger's sums; later ones are added


@asynccontextmanager
async def keep_holds(
    limiter: Limiter, counters: CounterStore, tasks: Tasks, *, every_s: float = RENEW_S
) -> AsyncIterator[None]:
    """Open the counters and keep renewing what requests in flight hold; StoreError if it fails."""
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
    """Restore daily and monthly counters from the ledger whenever the counters begin anew."""
    specs = tuple(specs)
    rules = find_recallable(specs)
    if isinstance(counters, MemoryCounters):
        report_forgotten(specs)
    tasks = Tasks(report_crash)
    if not rules or books is None:
        pass  # nothing to recall, or no ledger to ask
    elif isinstance(counters, MemoryCounters):
        tasks.spawn("recall_spent", keep_recalling(rules, counters, books))
        await tasks.wait(RECALL_S)
    elif isinstance(counters, SharedStore):
        tasks.spawn("recall_spent", keep_recalling_shared(rules, counters, books))
    try:
        yield
    finally:
        await tasks.cancel()
