"""How many retries one provider may get from all requests together.

The rule here: a provider in trouble gets hardly more requests than one that works. Each exchange
has `retries` of its own, but if all used theirs at once, a struggling provider would get three
times the load. So all of them share one budget.
"""

from collections.abc import Callable

from gateway.config.provider_blocks import RetryBudgetSpec
from gateway.core.clock import Clock, monotonic

# Counts cover the current half of this length and the one before it.
HALF_S = 5.0

Report = Callable[[int], None]
"""Told how many retries were not made, at most once each half, when there were any."""


class RetryBudget:
    """The retries of one provider, limited to a share of its requests of the last seconds."""

    __slots__ = (
        "_clock",
        "_held_back",
        "_past",
        "_report",
        "_requests",
        "_retries",
        "_spec",
        "_turns_at",
    )

    def __init__(self, spec: RetryBudgetSpec, report: Report, clock: Clock = monotonic) -> None:
        self._spec = spec
        self._report = report
        self._clock = clock
        self._requests = 0
        self._retries = 0
        self._past = (0, 0)  # requests and retries of the previous half
        self._turns_at = 0.0
        self._held_back = 0

    def count_request(self, at: float) -> None:
        """Count a request; `at` is a clock reading from a moment ago."""
        if at >= self._turns_at:
            self._turn(at)
        self._requests += 1

    def take(self) -> bool:
        """Take one retry from the budget; False if there is none left."""
        if not self._spec.enabled:
            return True
        now = self._clock()
        if now >= self._turns_at:
            self._turn(now)
        requests, retries = self._past
        allowed = max(float(self._spec.spare), self._spec.share * (requests + self._requests))
        if retries + self._retries + 1 > allowed:
            self._held_back += 1
            if self._held_back == 1:
                self._report(1)
            return False
        self._retries += 1
        return True

    def _turn(self, now: float) -> None:
        is_next = now < self._turns_at + HALF_S
        self._past = (self._requests, self._retries) if is_next else (0, 0)
        if self._held_back > 1:  # the first was already reported
            self._report(self._held_back - 1)
        self._requests = self._retries = self._held_back = 0
        self._turns_at = now + HALF_S
