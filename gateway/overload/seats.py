"""Who may have how many exchanges in flight.

The rule here: while there is room, anybody may have it; when it gets scarce, nobody gets more than
their share, and whoever has less is let in. A seat is given back when its exchange is settled,
once, however that ends.
"""

from gateway.core.clock import Clock, monotonic
from gateway.core.exchange import Exchange
from gateway.core.retry_after import SPREAD_S

# Up to here of the limit nobody asks whose turn it is.
OPEN_SHARE = 0.8
# Never fewer: so few are no load, and whatever is wrong then is not mended by refusing.
LEAST = 32
# Who came in vain has a share for so long at least, and for twice as long at most: by then they
# have come back, if they do as they were told.
CLAIM_S = SPREAD_S + 1.0
MOST_CLAIMS = 1_000


class Seats:
    """The exchanges in flight, by who asked for them."""

    def __init__(self, most: int, clock: Clock = monotonic) -> None:
        self.most = most
        self._clock = clock
        self.limit = float(most)  # what can be borne just now; `most` at most
        self._held: dict[Exchange, str] = {}
        self._by_holder: dict[str, int] = {}
        # Those who have no seat and were refused one: in this span of time, and the one before.
        self._claims: tuple[set[str], set[str]] = (set(), set())
        self._turns_at = 0.0

    @property
    def count(self) -> int:
        """Exchanges that have a seat."""
        return len(self._held)

    def count_of(self, holder: str) -> int:
        """How many of them are this one's."""
        return self._by_holder.get(holder, 0)

    def take(self, exchange: Exchange, holder: str) -> bool:
        """Take a seat until the exchange is settled; False when it has to wait for its turn."""
        # A middleware may ask twice; once it is settled nobody would give its seat back.
        if exchange in self._held or exchange.outcome is not None:
            return True
        own = self._by_holder.get(holder, 0)
        if not self.has_room_for(holder):
            if not own:
                self._note_claim(holder)
            return False
        if not own:
            self._drop_claim(holder)
        self._held[exchange] = holder
        self._by_holder[holder] = own + 1
        return True

    def has_room_for(self, holder: str) -> bool:
        """Whether this one would get a seat now."""
        count = len(self._held)
        if count < self.limit * OPEN_SHARE:
            return True
        return self._is_their_turn(self._by_holder.get(holder, 0), count)

    def settle(self, exchange: Exchange) -> None:
        """Give the seat of a settled exchange back; an observer."""
        holder = self._held.pop(exchange, None)
        if holder is None:
            return
        left = self._by_holder[holder] - 1
        if left:
            self._by_holder[holder] = left
        else:
            del self._by_holder[holder]

    def shrink(self, factor: float) -> None:
        """Less can be borne than is there now."""
        least = min(LEAST, self.most)
        self.limit = max(float(least), min(self.limit, float(len(self._held))) * factor)

    def grow(self, factor: float) -> None:
        """Perhaps more can be borne."""
        self.limit = min(float(self.most), self.limit * factor)

    def _is_their_turn(self, own: int, count: int) -> bool:
        # Whoever has most is there again first each time that a seat is free. So those who got
        # none have a share, too, and it is kept for them.
        self._forget_claims()
        current, past = self._claims
        holders = len(self._by_holder) + len(current) + len(past)
        share = max(1.0, self.limit / (holders or 1))
        # Shares are of the limit, so all who have less than theirs are not more than twice it.
        return own < share and count < min(self.most, 2 * self.limit)

    def _note_claim(self, holder: str) -> None:
        current, past = self._claims
        past.discard(holder)
        if len(current) < MOST_CLAIMS:
            current.add(holder)

    def _drop_claim(self, holder: str) -> None:
        for claims in self._claims:
            claims.discard(holder)

    def _forget_claims(self) -> None:
        now = self._clock()
        if now < self._turns_at:
            return
        is_next = now < self._turns_at + CLAIM_S
        self._claims = (set(), self._claims[0] if is_next else set())
        self._turns_at = now + CLAIM_S
