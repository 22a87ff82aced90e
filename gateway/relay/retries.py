"""Whether another attempt may help, and how long to wait before it.

The rule here: retry only before the commit point, and never wait longer than a caller would wait
before retrying. A longer `retry-after` is passed on to the caller.
"""

import random
from collections.abc import Callable

from gateway.core.clock import Clock
from gateway.core.errors import UpstreamError
from gateway.wire.headers import asked_wait_s

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 4.0
MAX_WAITING_S = 5.0  # the sum of all waits of one exchange

Draw = Callable[[float, float], float]


class ExchangeRetries:
    """The further attempts that one exchange has left."""

    def __init__(self, retries: int, clock: Clock, draw: Draw = random.uniform) -> None:
        self._left = retries
        self._waiting_left_s = MAX_WAITING_S
        self._backoff_s = FIRST_BACKOFF_S
        self._clock = clock
        self._draw = draw

    def spend(self, error: UpstreamError) -> float | None:
        """Seconds to wait before the next attempt; None if there should be none."""
        if not error.is_retryable:
            return None
        asked_s = asked_wait_s(error.headers, now=self._clock())
        # Full jitter, so that exchanges that failed together do not retry together.
        wait_s = self.spend_knowing(
            self._draw(0.0, self._backoff_s) if asked_s is None else asked_s
        )
        if wait_s is not None:
            self._backoff_s = min(self._backoff_s * 2, MAX_BACKOFF_S)
        return wait_s

    def spend_knowing(self, wait_s: float) -> float | None:
        """Like `spend`, if the wait is known and another attempt is known to be worthwhile."""
        if self._left == 0 or wait_s > self._waiting_left_s:
            return None
        self._left -= 1
        self._waiting_left_s -= wait_s
        return wait_s
