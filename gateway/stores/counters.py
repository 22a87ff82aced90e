"""Counters for limits: their terms, and the contract of a counter store.

The rule here: a request's charges are checked and taken together, or none is taken. A charge holds
everything that a store needs to know, so a rule can change while its counters exist.
"""

import enum
from collections.abc import Collection, Sequence
from typing import Literal, Protocol

import msgspec

LEASE_S = 30.0
"""How long a hold lasts that nobody renews: what a killed process leaves behind."""

SOON_S = 1.0
"""The wait that is said where it depends on when another request ends, which nobody knows."""


WhenDown = Literal["local", "open", "closed"]
"""What a counter does while the store cannot be asked: count here and let in a part, let in all,
or let in nobody."""


class CounterKind(enum.Enum):
    """How a counter counts."""

    # An even rate with bursts (GCRA): what is taken refills with time from then on.
    REQUESTS = "requests"
    # The same for an amount known only at the end. Until then the whole reservation is held; what
    # was really used starts to refill when it is settled. Using more than reserved makes a debt.
    TOKENS = "tokens"
    # Concurrent places: taken until the request is settled.
    PLACES = "places"
    # Tokens per calendar window; reserved and settled like tokens.
    QUOTA = "quota"
    # The same for money, in millionths of a dollar.
    MONEY = "money"


class Used(msgspec.Struct, frozen=True, gc=False):
    """What an exchange has used."""

    tokens: int = 0
    micros: int = 0  # millionths of a dollar

    def amount(self, kind: "CounterKind") -> int:
        """The amount that a counter of this kind books."""
        return self.micros if kind is CounterKind.MONEY else self.tokens


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What one request takes from one counter, and how that counter counts."""

    key: str
    kind: CounterKind
    capacity: int  # the most at once; for a quota or money, the most in its window
    cost: int  # 1, or the tokens or micros to reserve
    per_s: float = 0.0  # the refill rate of requests and tokens
    starts_at: float = 0.0  # start of the window of a quota or money, in POSIX time
    ends_at: float = 0.0
    rule: int = 0  # the charges of one dry-run rule are taken together or not at all
    is_tried_out: bool = False  # a dry run: it refuses nobody, and takes nothing if it does not fit
    when_down: WhenDown = "local"


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The state of a counter after a request was admitted or refused."""

    remaining: int  # how much may still be taken at once
    reset_s: float  # the time until the counter is full again
    wait_s: float  # the time until this charge fits, at best; 0.0 if it fitted


class Admission(msgspec.Struct, frozen=True, gc=False):
    """A store's answer to a request: one standing for each charge, in the same order."""

    is_admitted: bool
    standings: Sequence[Standing]


class CounterStore(Protocol):
    """Counts for the limits; shared by all requests of a process, or of several."""

    async def open(self) -> None:
        """Get ready for use; raises StoreError, which says what would fix it."""

    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        """Take all charges, or none if one that is not a dry run does not fit.

        Atomic: nobody else is admitted between the check and the taking. What was taken is held
        under `hold_id`, which is used only once, until it is settled. If the call is cancelled, the
        charges may have been taken, so the calling code must settle in any case. Raises
        CountersDownError, and holds nothing, if the store cannot be reached and a charge says that
        nobody is admitted then.
        """

    def settle(self, hold_id: str, used: Used) -> None:
        """Book what was really used, and give back the rest and the places.

        Each counter books what it counts: tokens, or micros.

        It is never refused, even if it makes a debt, and returns at once. A second call, or one for
        an id that is not held, does nothing. A store in another process books in the background,
        in the order of the calls, and not before an `admit` of the same id that is still running.
        """

    async def renew(self, hold_ids: Collection[str]) -> None:
        """Keep these holds for another `LEASE_S`; must be called well before that has passed.

        A hold that is not renewed lapses: its places are freed, and what it had reserved counts as
        used. If it is settled later after all, only what it used beyond that is booked.
        """

    async def close(self) -> None:
        """Wait until everything settled is booked, and release all resources."""
