"""Counters in memory, for one process.

The rule here: nothing is awaited, so one event loop makes every call atomic. A counter that says
no more than a new one would is forgotten, so memory grows with who calls, not with who has called.
"""

import abc
from collections import deque
from collections.abc import Collection, Sequence

import msgspec
from typing_extensions import override

from gateway.core.clock import Clock, monotonic, system_clock
from gateway.stores.counters import (
    LEASE_S,
    SOON_S,
    Admission,
    Charge,
    CounterKind,
    CounterStore,
    Standing,
    Used,
)

# Far below what a caller can wait for, and above what floats make of sums: without it who waits
# as long as they were told may be a nanosecond early.
EPSILON_S = 1e-6
EPSILON = 1e-6  # of a request or token, for the same reason
# A lapsed hold waits so long for a late settlement.
LATE_S = 3600.0
_MONEY = CounterKind.MONEY  # to look up a member of an enumeration takes 0.2 µs in Python 3.11
# Counters that are looked at when one is made: two for one keeps at most twice as many as are
# needed. The others are looked at when leases are renewed, in pieces of a millisecond.
SWEPT_FOR_ONE = 2
SWEPT_IN_PEACE = 2_000


class _Counter(abc.ABC):
    """One counter; `now` is the store's clock."""

    __slots__ = ()

    @abc.abstractmethod
    def wait_s(self, charge: Charge, now: float) -> float:
        """Until a charge fits; 0.0 when it does."""

    @abc.abstractmethod
    def take(self, charge: Charge, now: float) -> None:
        """Take a charge, or set it aside."""

    @abc.abstractmethod
    def settle(self, charge: Charge, amount: int, now: float) -> None:
        """Give back what was set aside, and book what was used."""

    @abc.abstractmethod
    def book(self, amount: int, charge: Charge, now: float) -> None:
        """Book what nothing was set aside for."""

    @abc.abstractmethod
    def standing(self, charge: Charge, now: float, wait_s: float) -> Standing:
        """How it stands, for whoever asked."""

    @abc.abstractmethod
    def is_idle(self, now: float) -> bool:
        """True when a new counter would say the same."""


class _Requests(_Counter):
    """GCRA: `full_at` is when all that was taken has come back (the theoretical arrival time)."""

    __slots__ = ("full_at",)

    def __init__(self) -> None:
        self.full_at = 0.0

    @override
    def wait_s(self, charge: Charge, now: float) -> float:
        ahead_s = self.full_at - now if self.full_at > now else 0.0
        over_s = ahead_s + (charge.cost - charge.capacity) / charge.per_s
        return over_s if over_s > EPSILON_S else 0.0

    @override
    def take(self, charge: Charge, now: float) -> None:
        begins_at = max(now, self.full_at)
        self.full_at = begins_at + charge.cost / charge.per_s

    @override
    def settle(self, charge: Charge, amount: int, now: float) -> None:
        """Nothing is given back: the request was made."""

    @override
    def book(self, amount: int, charge: Charge, now: float) -> None:
        """One request is one request."""

    @override
    def standing(self, charge: Charge, now: float, wait_s: float) -> Standing:
        reset_s = self.full_at - now if self.full_at > now else 0.0
        left = int(charge.capacity - reset_s * charge.per_s + EPSILON)
        return Standing(max(0, left), reset_s, wait_s)

    @override
    def is_idle(self, now: float) -> bool:
        return self.full_at <= now


class _Tokens(_Counter):
    """GCRA of what was used, beside what is set aside."""

    __slots__ = ("full_at", "reserved")

    def __init__(self) -> None:
        self.full_at = 0.0
        self.reserved = 0

    @override
    def wait_s(self, charge: Charge, now: float) -> float:
        ahead_s = self.full_at - now if self.full_at > now else 0.0
        over_s = ahead_s + (charge.cost - charge.capacity) / charge.per_s
        if over_s + self.reserved / charge.per_s <= EPSILON_S:
            return 0.0
        return max(over_s, SOON_S) if self.reserved else over_s

    @override
    def take(self, charge: Charge, now: float) -> None:
        self.reserved += charge.cost

    @override
    def settle(self, charge: Charge, amount: int, now: float) -> None:
        self.reserved -= charge.cost
        self.book(amount, charge, now)

    @override
    def book(self, amount: int, charge: Charge, now: float) -> None:
        begins_at = max(now, self.full_at)
        self.full_at = begins_at + amount / charge.per_s

    @override
    def standing(self, charge: Charge, now: float, wait_s: float) -> Standing:
        ahead_s = self.full_at - now if self.full_at > now else 0.0
        reset_s = ahead_s + self.reserved / charge.per_s
        left = int(charge.capacity - reset_s * charge.per_s + EPSILON)
        return Standing(max(0, left), reset_s, wait_s)

    @override
    def is_idle(self, now: float) -> bool:
        return not self.reserved and self.full_at <= now


class _Places(_Counter):
    """How many are taken."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0

    @override
    def wait_s(self, charge: Charge, now: float) -> float:
        return 0.0 if self.taken + charge.cost <= charge.capacity else SOON_S

    @override
    def take(self, charge: Charge, now: float) -> None:
        self.taken += charge.cost

    @override
    def settle(self, charge: Charge, amount: int, now: float) -> None:
        self.taken -= charge.cost

    @override
    def book(self, amount: int, charge: Charge, now: float) -> None:
        """A place has nothing to do with tokens."""

    @override
    def standing(self, charge: Charge, now: float, wait_s: float) -> Standing:
        left = charge.capacity - self.taken
        return Standing(max(0, left), SOON_S if self.taken else 0.0, wait_s)

    @override
    def is_idle(self, now: float) -> bool:
        return not self.taken


class _Quota(_Counter):
    """Used and set aside in one window; a window never gives way to an earlier one."""

    __slots__ = ("_wall", "ends_at", "reserved", "starts_at", "used")

    def __init__(self, wall: Clock, charge: Charge) -> None:
        self._wall = wall
        self.starts_at = charge.starts_at
        self.ends_at = charge.ends_at
        self.used = 0
        self.reserved = 0  # what is being answered when a window begins counts in that one too

    @override
    def wait_s(self, charge: Charge, now: float) -> float:
        if charge.starts_at > self.starts_at:
            self.starts_at, self.ends_at, self.used = charge.starts_at, charge.ends_at, 0
        if self.used + self.reserved + charge.cost <= charge.capacity:
            return 0.0
        return SOON_S if self.used + charge.cost <= charge.capacity else self._left_s()

    @override
    def take(self, charge: Charge, now: float) -> None:
        self.reserved += charge.cost

    @override
    def settle(self, charge: Charge, amount: int, now: float) -> None:
        self.reserved -= charge.cost
        self.used += amount

    @override
    def book(self, amount: int, charge: Charge, now: float) -> None:
        self.used += amount

    @override
    def standing(self, charge: Charge, now: float, wait_s: float) -> Standing:
        left = charge.capacity - self.used - self.reserved
        return Standing(max(0, left), self._left_s(), wait_s)

    @override
    def is_idle(self, now: float) -> bool:
        return not self.reserved and (not self.used or self._wall() >= self.ends_at)

    def _left_s(self) -> float:
        left_s = self.ends_at - self._wall()
        return max(SOON_S, left_s)


class _Hold(msgspec.Struct):
    """What one request has taken."""

    taken: list[tuple[_Counter, Charge]]
    expires_at: float
    has_lapsed: bool = False


class MemoryCounters(CounterStore):
    """A `CounterStore` for one event loop."""

    def __init__(self, clock: Clock = monotonic, wall: Clock = system_clock) -> None:
        self._clock = clock
        self._wall = wall
        self._counters: dict[str, _Counter] = {}
        self._swept: deque[str] = deque()  # every key once, who was looked at longest ago first
        self._holds: dict[str, _Hold] = {}
        self._made = 0  # counters since the last sweep
        self._reap_at = 0.0  # no hold expires before

    def __len__(self) -> int:
        return len(self._counters)

    @override
    async def open(self) -> None:
        """Nothing has to be there first."""

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        now = self._clock()
        if now >= self._reap_at:
            self._reap(now)
        get = self._counters.get
        found = [(get(charge.key) or self._make(charge), charge) for charge in charges]
        waits = [counter.wait_s(charge, now) for counter, charge in found]
        is_admitted, taken = _choose(found, waits) if any(waits) else (True, found)
        if is_admitted:
            for counter, charge in taken:
                counter.take(charge, now)
            self._holds[hold_id] = _Hold(taken, now + LEASE_S)
        standings = [
            counter.standing(charge, now, wait_s)
            for (counter, charge), wait_s in zip(found, waits, strict=True)
        ]
        if self._made:  # and no sooner: until it was taken from, a new counter is idle
            self._sweep(now, self._made * SWEPT_FOR_ONE)
            self._made = 0
        return Admission(is_admitted, standings)

    def adopt(self, hold_id: str, charges: Sequence[Charge]) -> None:
        """Take what was let in elsewhere, whether it fits or not."""
        now = self._clock()
        get = self._counters.get
        taken = [(get(charge.key) or self._make(charge), charge) for charge in charges]
        for counter, charge in taken:
            counter.take(charge, now)
        self._holds[hold_id] = _Hold(taken, now + LEASE_S)

    def recall(self, charge: Charge, amount: int) -> None:
        """Count what was used of a window of the calendar before these counters were made."""
        counter = self._counters.get(charge.key)
        if counter is None:
            counter = self._make(charge)
            self._made -= 1  # it is no sign that others have gone
        counter.book(amount, charge, self._clock())

    @override
    def settle(self, hold_id: str, used: Used) -> None:
        hold = self._holds.pop(hold_id, None)
        if hold is None:
            return
        now, has_lapsed = self._clock(), hold.has_lapsed
        tokens, micros = used.tokens, used.micros
        for counter, charge in hold.taken:
            amount = micros if charge.kind is _MONEY else tokens
            if not has_lapsed:
                counter.settle(charge, amount, now)
            elif amount > charge.cost:
                found = self._counters.get(charge.key) or self._make(charge)
                found.book(amount - charge.cost, charge, now)

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

    def _make(self, charge: Charge) -> _Counter:
        self._made += 1
        counter = self._counters[charge.key] = self._new(charge)
        self._swept.append(charge.key)
        return counter

    def _new(self, charge: Charge) -> _Counter:
        match charge.kind:
            case CounterKind.REQUESTS:
                return _Requests()
            case CounterKind.TOKENS:
                return _Tokens()
            case CounterKind.PLACES:
                return _Places()
            case CounterKind.QUOTA | CounterKind.MONEY:
                return _Quota(self._wall, charge)

    def _sweep(self, now: float, count: int) -> None:
        """Look at so many counters, and forget those that are idle."""
        swept, counters = self._swept, self._counters
        for _ in range(min(count, len(swept))):
            key = swept.popleft()
            if counters[key].is_idle(now):
                del counters[key]
            else:
                swept.append(key)

    def _reap(self, now: float) -> None:
        """End the holds that nobody has renewed."""
        for hold_id, hold in list(self._holds.items()):
            if hold.expires_at > now:
                continue
            if hold.has_lapsed:
                del self._holds[hold_id]
                continue
            hold.has_lapsed = True
            hold.expires_at = now + LATE_S
            for counter, charge in hold.taken:
                counter.settle(charge, charge.cost, now)
        # Whoever is let in from now on expires later than that.
        self._reap_at = now + LEASE_S
        for hold in self._holds.values():
            self._reap_at = min(self._reap_at, hold.expires_at)


def _choose(
    found: list[tuple[_Counter, Charge]], waits: list[float]
) -> tuple[bool, list[tuple[_Counter, Charge]]]:
    """Whether to let in, and what to take then, where something does not fit."""
    unfit = [charge for (_, charge), wait_s in zip(found, waits, strict=True) if wait_s]
    if not all(charge.is_tried_out for charge in unfit):
        return False, []
    rules = {charge.rule for charge in unfit}
    return True, [(counter, charge) for counter, charge in found if charge.rule not in rules]
