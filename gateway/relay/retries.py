"""When another attempt may help, and how long to wait before it.

The rule here: only before the commit point, and never longer than the caller would wait by
themselves. A longer `retry-after` is passed on, not slept.
"""

import random
from collections.abc import Callable

from gateway.core.clock import Clock
from gateway.core.errors import UpstreamError
from gateway.wire.headers import asked_wait_s

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 4.0
MAX_WAITING_S = 5.0  # of all waits of one exchange together

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
        """Seconds to wait before the next attempt; None when there is to be none."""
        if not error.is_retryable:
            return None
        asked_s = asked_wait_s(error.headers, now=self._clock())
        # Full jitter: callers that failed together must not come back together.
        wait_s = self.spend_knowing(
            self._draw(0.0, self._backoff_s) if asked_s is None else asked_s
        )
        if wait_s is not None:
            self._backoff_s = min(self._backoff_s * 2, MAX_BACKOFF_S)
        return wait_s

    def spend_knowing(self, wait_s: float) -> float | None:
        """The same where it is known how long to wait, and that another attempt may help."""
        if self._left == 0 or wait_s > self._waiting_left_s:
            return None
        self._left -= 1
        self._waiting_left_s -= wait_s
        return wait_s
