"""When another attempt may help, and how long to wait before it.

The rule here: only before the commit point, and never longer than the caller would wait by
themselves. A longer `retry-after` is passed on, not slept.
"""

import random
from collections.abc import Callable

from gateway.core.clock import Clock
from gateway.core.errors import UpstreamError
from gateway.wire.headers import parse_retry_after

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 4.0
MAX_WAITING_S = 5.0  # of all waits of one exchange together

Draw = Callable[[float, float], float]


class RetryBudget:
    """The further attempts that one exchange has left."""

    def __init__(self, retries: int, clock: Clock, draw: Draw = random.uniform) -> None:
        self._left = retries
        self._waiting_left_s = MAX_WAITING_S
        self._backoff_s = FIRST_BACKOFF_S
        self._clock = clock
        self._draw = draw

    def spend(self, error: UpstreamError) -> float | None:
        """Seconds to wait before the next attempt; None when there is to be none."""
        if not error.is_retryable or self._left == 0:
            return None
        asked_s = self._asked_for(error)
        # Full jitter: callers that failed together must not come back together.
        wait_s = self._draw(0.0, self._backoff_s) if asked_s is None else asked_s
        if wait_s > self._waiting_left_s:
            return None
        self._left -= 1
        self._waiting_left_s -= wait_s
        self._backoff_s = min(self._backoff_s * 2, MAX_BACKOFF_S)
        return wait_s

    def _asked_for(self, error: UpstreamError) -> float | None:
        milliseconds = error.headers.get("retry-after-ms")
        if milliseconds is not None:
            value = parse_retry_after(milliseconds, now=self._clock())
            return None if value is None else value / 1000
        seconds = error.headers.get("retry-after")
        return None if seconds is None else parse_retry_after(seconds, now=self._clock())
