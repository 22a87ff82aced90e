"""How one counter in memory counts, for each kind there is.

The rule here: nothing is awaited, and what is asked for each rule of each request is one call.
`max` is not on that way: it parses its arguments, 500 instructions each time in Python 3.11.
"""

import abc
from typing import Final

from typing_extensions import override

from gateway.core.clock import Clock
from gateway.stores.counters import SOON_S, Charge, CounterKind, Standing, Used

# Far below what a caller can wait for, and above what floats make of sums: without it who waits
# as long as they were told may be a nanosecond early.
EPSILON_S: Final = 1e-6
EPSILON: Final = 1e-6  # of a request or token, for the same reason
_MONEY = CounterKind.MONEY  # to look up a member of an enumeration takes 0.2 µs in Python 3.11


class MemoryCounter(abc.ABC):
    """One counter; `now` is the store's clock."""

    __slots__ = ()

    @abc.abstractmethod
    def wait_s(self, charge: Charge, now: float) -> float:
        """Until a charge fits; 0.0 when it does."""

    @abc.abstractmethod
    def take(self, charge: Charge, now: float) -> None:
        """Take a charge, or set it aside."""

    @abc.abstractmethod
    def enter(self, charge: Charge, now: float) -> Standing | None:
        """The three in one, for a charge that fits: how it stands with it; None: it does not fit.

        Nearly every charge fits: to admit and settle takes 16 µs with four rules this way, and 21
        with a call for each of the three.
        """

    @abc.abstractmethod
    def leave(self, charge: Charge) -> None:
        """Take the last `enter` back, before anything else has happened."""

    @abc.abstractmethod
    def settle(self, charge: Charge, used: Used, now: float) -> None:
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


class RateCounter(MemoryCounter):
    """GCRA: `full_at` is when all that was taken has come back (the theoretical arrival time)."""

    __slots__ = ("full_at", "per_s")

    def __init__(self) -> None:
        self.full_at = 0.0
        self.per_s = 0.0  # at which it comes back, as the last who asked had it

    def tune(self, per_s: float, now: float) -> None:
        """Go on at another rate: a higher one shortens what is still to come back.

        A lower one does not lengthen it: what was used when it was allowed is no debt.
        """
        if 0.0 < self.per_s < per_s and self.full_at > now:
            self.full_at = now + (self.full_at - now) * self.per_s / per_s
        self.per_s = per_s


class RequestsCounter(RateCounter):
    """What is taken is used at once."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        super().__init__()
        self._before = 0.0  # what it was when the last charge was taken

    @override
    def wait_s(self, charge: Charge, now: float) -> float:
        self.tune(charge.per_s, now)
        ahead_s = self.full_at - now if self.full_at > now else 0.0
        over_s = ahead_s + (charge.cost - charge.capacity) / charge.per_s
        return over_s if over_s > EPSILON_S else 0.0

    @override
    def take(self, charge: Charge, now: float) -> None:
        self.tune(charge.per_s, now)
        begins_at = max(now, self.full_at)
        self.full_at = begins_at + charge.cost / charge.per_s

    @override
    def enter(self, charge: Charge, now: float) -> Standing | None:
        cost, capacity, per_s = charge.cost, charge.capacity, charge.per_s
        if per_s != self.per_s:
            self.tune(per_s, now)
        full_at = self.full_at
        ahead_s = full_at - now if full_at > now else 0.0
        if ahead_s + (cost - capacity) / per_s > EPSILON_S:
            return None
        self._before = full_at
        begins_at = full_at if full_at > now else now  # noqa: FURB136 - see the top
        self.full_at = full_at = begins_at + cost / per_s
        reset_s = full_at - now
        left = int(capacity - reset_s * per_s + EPSILON)
        return Standing(left if left > 0 else 0, reset_s, 0.0)  # noqa: FURB136 - see the top

    @override
    def leave(self, charge: Charge) -> None:
        self.full_at = self._before

    @override
    def settle(self, charge: Charge, used: Used, now: float) -> None:
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


class TokensCounter(RateCounter):
    """What was used, beside what is set aside."""

    __slots__ = ("reserved",)

    def __init__(self) -> None:
        super().__init__()
        self.reserved = 0

    @override
    def wait_s(self, charge: Charge, now: float) -> float:
        self.tune(charge.per_s, now)
        ahead_s = self.full_at - now if self.full_at > now else 0.0
        over_s = ahead_s + (charge.cost - charge.capacity) / charge.per_s
        if over_s + self.reserved / charge.per_s <= EPSILON_S:
            return 0.0
        return max(over_s, SOON_S) if self.reserved else over_s

    @override
    def take(self, charge: Charge, now: float) -> None:
        self.tune(charge.per_s, now)
        self.reserved += charge.cost

    @override
    def enter(self, charge: Charge, now: float) -> Standing | None:
        cost, capacity, per_s = charge.cost, charge.capacity, charge.per_s
        if per_s != self.per_s:
            self.tune(per_s, now)
        full_at = self.full_at
        ahead_s = full_at - now if full_at > now else 0.0
        if ahead_s + (cost - capacity) / per_s + self.reserved / per_s > EPSILON_S:
            return None
        self.reserved += cost
        reset_s = ahead_s + self.reserved / per_s
        left = int(capacity - reset_s * per_s + EPSILON)
        return Standing(left if left > 0 else 0, reset_s, 0.0)  # noqa: FURB136 - see the top

    @override
    def leave(self, charge: Charge) -> None:
        self.reserved -= charge.cost

    @override
    def settle(self, charge: Charge, used: Used, now: float) -> None:
        self.reserved -= charge.cost
        full_at = self.full_at
        begins_at = full_at if full_at > now else now  # noqa: FURB136 - see the top
        self.full_at = begins_at + used.tokens / self.per_s

    @override
    def book(self, amount: int, charge: Charge, now: float) -> None:
        begins_at = max(now, self.full_at)
        self.full_at = begins_at + amount / (self.per_s or charge.per_s)

    @override
    def standing(self, charge: Charge, now: float, wait_s: float) -> Standing:
        ahead_s = self.full_at - now if self.full_at > now else 0.0
        reset_s = ahead_s + self.reserved / charge.per_s
        left = int(charge.capacity - reset_s * charge.per_s + EPSILON)
        return Standing(max(0, left), reset_s, wait_s)

    @override
    def is_idle(self, now: float) -> bool:
        return not self.reserved and self.full_at <= now


class PlacesCounter(MemoryCounter):
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
    def enter(self, charge: Charge, now: float) -> Standing | None:
        taken = self.taken + charge.cost
        left = charge.capacity - taken
        if left < 0:
            return None
        self.taken = taken
        return Standing(left, SOON_S, 0.0)

    @override
    def leave(self, charge: Charge) -> None:
        self.taken -= charge.cost

    @override
    def settle(self, charge: Charge, used: Used, now: float) -> None:
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


class QuotaCounter(MemoryCounter):
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
    def enter(self, charge: Charge, now: float) -> Standing | None:
        if charge.starts_at > self.starts_at:
            self.starts_at, self.ends_at, self.used = charge.starts_at, charge.ends_at, 0
        reserved = self.reserved + charge.cost
        left = charge.capacity - self.used - reserved
        if left < 0:
            return None
        self.reserved = reserved
        left_s = self.ends_at - self._wall()
        return Standing(left, left_s if left_s > SOON_S else SOON_S, 0.0)  # noqa: FURB136 - as above

    @override
    def leave(self, charge: Charge) -> None:
        self.reserved -= charge.cost

    @override
    def settle(self, charge: Charge, used: Used, now: float) -> None:
        self.reserved -= charge.cost
        self.used += used.micros if charge.kind is _MONEY else used.tokens

    @override
    def book(self, amount: int, charge: Charge, now: float) -> None:
        if charge.starts_at > self.starts_at:
            self.starts_at, self.ends_at, self.used = charge.starts_at, charge.ends_at, 0
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
