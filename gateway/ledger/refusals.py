"""Which requests that never went to a provider are booked.

The rule here: a refusal is booked only if we know who asked and for what, and only up to the number
per minute that the operator configured, because a caller can be refused a million times.
"""

from typing import Final

from gateway.core.clock import Clock, monotonic
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import ANONYMOUS

MINUTE_S: Final = 60.0


class Refusals:
    """Counts the refusals booked per minute, starting with the first one."""

    def __init__(self, per_minute: int, clock: Clock = monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left = 0
        self._until = 0.0

    def take(self, exchange: Exchange) -> bool:
        """Whether to book this settled exchange; if so, it counts towards this minute."""
        if not self._per_minute or exchange.outcome is Outcome.FINISHED or not exchange.provider:
            return False
        principal = exchange.principal
        if principal is None or principal.kind == ANONYMOUS.kind:
            return False
        now = self._clock()
        if now >= self._until:
            self._left, self._until = self._per_minute, now + MINUTE_S
        if not self._left:
            return False
        self._left -= 1
        return True
