"""What limits are counted in: the words, and what a store of counters promises.

The rule here: a request's charges are checked together and taken together, or none is taken.
Everything a store needs to know is in the charge, so that a rule can change while it counts.
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

    # Let in evenly, so many at once (GCRA): what is taken comes back by the clock, from then on.
    REQUESTS = "requests"
    # The same, of an amount that is known at the end only: until then it is set aside whole, and
    # what was used begins to come back when it is settled. More than was set aside is a debt.
    TOKENS = "tokens"
    # Places: taken until it is settled.
    PLACES = "places"
    # Tokens for a window of the calendar; set aside and settled like tokens.
    QUOTA = "quota"
    # The same of money, in millionths of a dollar.
    MONEY = "money"


class Used(msgspec.Struct, frozen=True, gc=False):
    """What an exchange came to."""

    tokens: int = 0
    micros: int = 0  # millionths of a dollar

    def amount(self, kind: "CounterKind") -> int:
        """As much of it as a counter of this kind books."""
        return self.micros if kind is CounterKind.MONEY else self.tokens


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What one request takes of one counter, and how that counter counts."""

    key: str
    kind: CounterKind
    capacity: int  # at most, at once; of a quota or of money, in its window
    cost: int  # 1, or the tokens or micros to be set aside
    per_s: float = 0.0  # what comes back; of requests and tokens
    starts_at: float = 0.0  # of the window of a quota or of money, in POSIX time
    ends_at: float = 0.0
    rule: int = 0  # charges of one rule that is tried out are taken together or not at all
    is_tried_out: bool = False  # it refuses nobody: where it does not fit, it is not taken
    when_down: WhenDown = "local"


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a counter stands after a request was let in or refused."""

    remaining: int  # what may still be taken at once
    reset_s: float  # until all of it may
    wait_s: float  # until this charge fits, in the best case; 0.0: it fitted


class Admission(msgspec.Struct, frozen=True, gc=False):
    """What a store says to a request: one standing for each charge, in their order."""

    is_admitted: bool
    standings: Sequence[Standing]


class CounterStore(Protocol):
    """Counts for the limits; shared by all requests of a process, or of several."""

    async def open(self) -> None:
        """Be ready to be asked; raises StoreError when that cannot be, and what mends it."""

    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        """Take all charges, or none of them when one that is not tried out does not fit.

        Atomic: between the check and the taking nobody else is let in. What was taken is held
        under `hold_id`, which is used once, until it is settled. When the call is cancelled the
        charges may have been taken: whoever called settles in any case. Raises CountersDownError
        when the store cannot be asked and a charge says that nobody is let in then; nothing is
        held.
        """

    def settle(self, hold_id: str, used: Used) -> None:
        """Book what was really used, and give back the rest and the places.

        Each counter books what it counts: tokens, or micros.

        Never refused, also where it makes a debt. Returns at once; the second time, and for an
        id that is not held, it does nothing. A store in another process books in the background,
        in the order of the calls, and not before an `admit` of the same id that is under way.
        """

    async def renew(self, hold_ids: Collection[str]) -> None:
        """Keep these holds for another `LEASE_S`; to be called well before that has passed.

        A hold that nobody renews lapses: its places are free, and what it had set aside counts
        as used. When it is settled after all, what it used beyond that is booked.
        """

    async def close(self) -> None:
        """Wait until what was settled is booked, and let go of everything."""
