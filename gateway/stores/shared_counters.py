"""Counters in Redis, and local ones that stand in while Redis is down.

The rule here: when Redis goes down, a few requests wait once, not all of them. What is admitted
without Redis is reported to it when it is back, so no use is forgotten.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec
import structlog
from typing_extensions import override

from gateway.core.clock import Clock, monotonic, system_clock
from gateway.stores.counters import Admission, Charge, CounterKind, CounterStore, Standing, Used
from gateway.stores.errors import CountersDownError, StoreDownError
from gateway.stores.memory_counters import MemoryCounters
from gateway.stores.redis_counters import RedisCounters, find_taken

SEEN = 100_000  # counters whose remaining amount is remembered

WINDOWS = frozenset({CounterKind.QUOTA, CounterKind.MONEY})

_log = structlog.get_logger()


class SharedCounters(CounterStore):
    """A `CounterStore` over Redis that goes on without it, as each charge's rule says."""

    def __init__(
        self,
        redis: RedisCounters,
        *,
        shares: int,
        is_required: bool = True,
        clock: Clock = monotonic,
        wall: Clock = system_clock,
    ) -> None:
        """Make one; while Redis is down, each process admits one of `shares` parts of a limit."""
        self._redis = redis
        self._shares = shares
        self._is_required = is_required
        self._make_local: Callable[[], MemoryCounters] = lambda: MemoryCounters(clock, wall)
        self._local = self._make_local()
        self._clock = clock
        self._down_since = 0.0
        # The last known remainder of each quota or budget, with its window.
        self._seen: dict[str, tuple[float, int]] = {}
        redis.link.when_down = self._go_local
        redis.when_up = self._go_back

    @property
    def is_degraded(self) -> bool:
        """Whether it works without Redis at the moment."""
        return not self._redis.link.is_up

    @property
    def lost(self) -> int:
        """How many settlements never reached Redis."""
        return self._redis.link.lost

    @property
    def begins_anew(self) -> asyncio.Event:
        """Set when Redis may know nothing of earlier use; `recall` clears it."""
        return self._redis.begins_anew

    @override
    async def open(self) -> None:
        await self._redis.link.open(is_required=self._is_required)
        # Redis knows no earlier use for a new rule, or for a day in another time zone.
        self.begins_anew.set()

    async def recall(self, spent: Iterable[tuple[Charge, int]]) -> None:
        """Raise what was used in each window to at least this; StoreDownError if Redis is down."""
        await self._redis.recall(spent)

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        if self._redis.link.is_up:
            try:
                admission = await self._redis.admit(hold_id, charges)
            except StoreDownError:
                pass  # said once, by whoever noticed
            else:
                self._note(charges, admission)
                return admission
        return await self._admit_locally(hold_id, charges)

    @override
    def settle(self, hold_id: str, used: Used) -> None:
        self._local.settle(hold_id, used)
        self._redis.settle(hold_id, used)

    @override
    async def renew(self, hold_ids: Collection[str]) -> None:
        if self._redis.link.is_up:
            try:
                await self._redis.renew(hold_ids)
            except StoreDownError:
                pass  # said once, by whoever noticed
            else:
                return
        await self._local.renew(hold_ids)

    @override
    async def close(self) -> None:
        await self._redis.close()
        await self._local.close()

    async def _admit_locally(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        for charge in charges:
            if charge.when_down == "closed" and not charge.is_tried_out:
                raise CountersDownError(charge.rule)
        counted = [self._share_of(c) for c in charges if c.when_down == "local"]
        local = await self._local.admit(hold_id, counted)
        standings = iter(local.standings)
        admission = Admission(
            local.is_admitted,
            [
                next(standings) if c.when_down == "local" else Standing(c.capacity, 0.0, 0.0)
                for c in charges
            ],
        )
        if admission.is_admitted:
            self._redis.adopt(hold_id, find_taken(charges, admission))
            return admission
        for charge, standing in zip(charges, admission.standings, strict=True):
            if standing.wait_s and charge.kind in WINDOWS and not charge.is_tried_out:
                # More may be left than our part, so do not tell the caller to wait a day.
                raise CountersDownError(charge.rule)
        return admission

    def _share_of(self, charge: Charge) -> Charge:
        """This process's part of a charge's limit, without Redis."""
        if charge.kind in WINDOWS:
            window, left = self._seen.get(charge.key, (charge.starts_at, charge.capacity))
            if window != charge.starts_at:
                left = charge.capacity
            part = min(left, charge.capacity) // self._shares
            return msgspec.structs.replace(charge, capacity=part)
        # A request that fits the whole limit must fit the part too.
        part = max(charge.capacity // self._shares, charge.cost)
        return msgspec.structs.replace(charge, capacity=part, per_s=charge.per_s / self._shares)

    def _note(self, charges: Sequence[Charge], admission: Admission) -> None:
        """Remember how much of each window is left, which may be given out without Redis."""
        seen = self._seen
        for charge, standing in zip(charges, admission.standings, strict=True):
            if charge.kind in WINDOWS:
                seen.pop(charge.key, None)  # keeps the least recently used first
                seen[charge.key] = (charge.starts_at, standing.remaining)
        while len(seen) > SEEN:
            del seen[next(iter(seen))]

    def _go_local(self, reason: str) -> None:
        self._down_since = self._clock()
        self._local = self._make_local()
        for hold_id, charges in self._redis.held.items():
            # Their other charges were already subtracted from the last known remainder.
            places = [self._share_of(c) for c in charges if c.kind is CounterKind.PLACES]
            self._local.adopt(hold_id, places)
        _log.error(
            "counters.redis_lost",
            redis=self._redis.link.shown,
            reason=reason,
            shares=self._shares,
        )

    def _go_back(self) -> None:
        self._local = self._make_local()
        _log.warning(
            "counters.redis_regained",
            redis=self._redis.link.shown,
            down_s=round(self._clock() - self._down_since, 3),
            told=self._redis.link.kept,
        )
