"""Who may have how many exchanges in flight.

The rule here: while there is room, anybody may have it; when it gets scarce, nobody gets more than
their share, and whoever has less is let in. A seat is given back when its exchange is settled,
once, however that ends.
"""

from gateway.core.exchange import Exchange

# Up to here of the limit nobody asks whose turn it is.
OPEN_SHARE = 0.8
# Never fewer: so few are no load, and whatever is wrong then is not mended by refusing.
LEAST = 32


class Seats:
    """The exchanges in flight, by who asked for them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)  # what can be borne just now; `most` at most
        self._held: dict[Exchange, str] = {}
        self._by_holder: dict[str, int] = {}

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
        if not self.has_room_for(holder):
            return False
        self._held[exchange] = holder
        self._by_holder[holder] = self._by_holder.get(holder, 0) + 1
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
        holders = len(self._by_holder) + (own == 0)
        share = max(1.0, self.limit / holders)
        # Shares are of the limit, so all who have less than theirs are not more than twice it.
        return own < share and count < min(self.most, 2 * self.limit)
