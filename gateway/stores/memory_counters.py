"""Counters in memory, for one process.

The rule here: nothing is awaited, so every call is atomic on the event loop. A counter that gives
the same answers as a new one is dropped, so memory depends on who is calling now, not on everybody
who ever called.
"""

from collections import deque
from collections.abc import Collection, Sequence

import msgspec
from typing_extensions import override

from gateway.core.clock import Clock, monotonic, system_clock
from gateway.stores.counters import (
    LEASE_S,
    Admission,
    Charge,
    CounterKind,
    CounterStore,
    Standing,
    Used,
)
from gateway.stores.memory_counter_kinds import (
    MemoryCounter,
    PlacesCounter,
    QuotaCounter,
    RequestsCounter,
    TokensCounter,
)

# How long a lapsed hold waits for a late settlement.
LATE_S = 3600.0
# How many counters are checked when one is created: two for one keeps at most twice as many as
# needed. The rest are checked when leases are renewed, a millisecond's worth at a time.
SWEPT_FOR_ONE = 2
SWEPT_IN_PEACE = 2_000


class _Hold(msgspec.Struct):
    """What one request has taken."""

    taken: list[tuple[MemoryCounter, Charge]]
    expires_at: float
    has_lapsed: bool = False


class MemoryCounters(CounterStore):
    """A `CounterStore` for one event loop."""

    def __init__(self, clock: Clock = monotonic, wall: Clock = system_clock) -> None:
        self._clock = clock
        self._wall = wall
        self._counters: dict[str, MemoryCounter] = {}
        self._swept: deque[str] = deque()  # every key once, the one checked longest ago first
        self._holds: dict[str, _Hold] = {}
        self._made = 0  # counters created since the last sweep
        self._reap_at = 0.0  # no hold expires before this

    def __len__(self) -> int:
        return len(self._counters)

    @override
    async def open(self) -> None:
        """Do nothing: there is nothing to open."""

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        now = self._clock()
        if now >= self._reap_at:
            self._reap(now)
        get = self._counters.get
        taken: list[tuple[MemoryCounter, Charge]] = []
        standings: list[Standing] = []
        for charge in charges:
            counter = get(charge.key) or self._make(charge)
            standing = counter.enter(charge, now)
            if standing is None:
                break
            taken.append((counter, charge))
            standings.append(standing)
        else:
            self._holds[hold_id] = _Hold(taken, now + LEASE_S)
            if self._made:  # only now, as a new counter looks idle until taken from
                self._sweep_for_made(now)
            return Admission(True, standings)  # noqa: FBT003 - by name takes twice as long
        for counter, charge in reversed(taken):
            counter.leave(charge)
        admission = self._admit_in_part(hold_id, charges, now)
        self._sweep_for_made(now)
        return admission

    def adopt(self, hold_id: str, charges: Sequence[Charge]) -> None:
        """Take the charges of a request admitted elsewhere, whether they fit or not."""
        now = self._clock()
        get = self._counters.get
        taken = [(get(charge.key) or self._make(charge), charge) for charge in charges]
        for counter, charge in taken:
            counter.take(charge, now)
        self._holds[hold_id] = _Hold(taken, now + LEASE_S)

    def recall(self, charge: Charge, amount: int) -> None:
        """Count what was used in a calendar window before these counters existed.

        If the window has ended, as it may after a long sum, there is nothing to count.
        """
        if self._wall() >= charge.ends_at:
            return
        counter = self._counters.get(charge.key)
        if counter is None:
            counter = self._make(charge)
            self._made -= 1  # not created for a caller, so no reason to sweep
        counter.book(amount, charge, self._clock())

    @override
    def settle(self, hold_id: str, used: Used) -> None:
        hold = self._holds.pop(hold_id, None)
        if hold is None:
            return
        now = self._clock()
        if hold.has_lapsed:
            self._settle_late(hold, used, now)
            return
        for counter, charge in hold.taken:
            counter.settle(charge, used, now)

    @override
    async def renew(self, hold_ids: Collection[str]) -> None:
        now = self._clock()
        for hold_id in hold_ids:
            hold = self._holds.get(hold_id)
            if hold is not None and not hold.has_lapsed:
                hold.expires_at = now + LEASE_S
        self._reap(now)
        self._sweep(now, SWEPT_IN_PEACE)

    @override
    async def close(self) -> None:
        self._counters.clear()
        self._swept.clear()
        self._holds.clear()

    def _admit_in_part(self, hold_id: str, charges: Sequence[Charge], now: float) -> Admission:
        """Something does not fit: refuse, or leave out the dry-run rules that do not fit."""
        get = self._counters.get
        found = [(get(charge.key) or self._make(charge), charge) for charge in charges]
        waits = [counter.wait_s(charge, now) for counter, charge in found]
        is_admitted, taken = _choose(found, waits)
        if is_admitted:
            for counter, charge in taken:
                counter.take(charge, now)
            self._holds[hold_id] = _Hold(taken, now + LEASE_S)
        standings = [
            counter.standing(charge, now, wait_s)
            for (counter, charge), wait_s in zip(found, waits, strict=True)
        ]
        return Admission(is_admitted, standings)

    def _settle_late(self, hold: _Hold, used: Used, now: float) -> None:
        """Book use beyond what already counts as used."""
        for _, charge in hold.taken:
            amount = used.amount(charge.kind)
            if amount > charge.cost:
                present = _in_present_window(charge, self._wall())
                found = self._counters.get(charge.key) or self._make(present)
                found.book(amount - charge.cost, present, now)

    def _make(self, charge: Charge) -> MemoryCounter:
        self._made += 1
        counter = self._counters[charge.key] = self._new(charge)
        self._swept.append(charge.key)
        return counter

    def _new(self, charge: Charge) -> MemoryCounter:
        match charge.kind:
            case CounterKind.REQUESTS:
                return RequestsCounter()
            case CounterKind.TOKENS:
                return TokensCounter()
            case CounterKind.PLACES:
                return PlacesCounter()
            case CounterKind.QUOTA | CounterKind.MONEY:
                return QuotaCounter(self._wall, charge)

    def _sweep_for_made(self, now: float) -> None:
        self._sweep(now, self._made * SWEPT_FOR_ONE)
        self._made = 0

    def _sweep(self, now: float, count: int) -> None:
        """Check `count` counters, and drop the idle ones."""
        swept, counters = self._swept, self._counters
        for _ in range(min(count, len(swept))):
            key = swept.popleft()
            if counters[key].is_idle(now):
                del counters[key]
            else:
                swept.append(key)

    def _reap(self, now: float) -> None:
        """End the holds that were not renewed."""
        for hold_id, hold in list(self._holds.items()):
            if hold.expires_at > now:
                continue
            if hold.has_lapsed:
                del self._holds[hold_id]
                continue
            hold.has_lapsed = True
            hold.expires_at = now + LATE_S
            for counter, charge in hold.taken:
                counter.settle(charge, Used(charge.cost, charge.cost), now)
        # Requests admitted from now on expire later than that.
        self._reap_at = now + LEASE_S
        for hold in self._holds.values():
            self._reap_at = min(self._reap_at, hold.expires_at)


def _in_present_window(charge: Charge, wall: float) -> Charge:
    """The charge, moved to the current window; months count as long as the charge's own."""
    length_s = charge.ends_at - charge.starts_at
    if wall < charge.ends_at or length_s <= 0:
        return charge
    starts_at = charge.starts_at + (wall - charge.starts_at) // length_s * length_s
    return msgspec.structs.replace(charge, starts_at=starts_at, ends_at=starts_at + length_s)


def _choose(
    found: list[tuple[MemoryCounter, Charge]], waits: list[float]
) -> tuple[bool, list[tuple[MemoryCounter, Charge]]]:
    """Whether to admit although something does not fit, and what to take then."""
    unfit = [charge for (_, charge), wait_s in zip(found, waits, strict=True) if wait_s]
    if not all(charge.is_tried_out for charge in unfit):
        return False, []
    rules = {charge.rule for charge in unfit}
    return True, [(counter, charge) for counter, charge in found if charge.rule not in rules]
