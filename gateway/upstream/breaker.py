"""A circuit breaker: stops sending to what keeps failing, and resumes with a trickle.

The rule here: there is no timer. State changes happen when somebody asks, so while it is closed a
breaker costs one comparison per attempt. A verdict counts only in the state in which its attempt
began: a request sent before the breaker opened proves nothing afterwards.
"""

import random
from collections.abc import Callable

import msgspec

from gateway.config.provider_blocks import BreakerSpec
from gateway.core.breaker import BreakerState
from gateway.core.clock import Clock, monotonic
from gateway.core.retry_after import SPREAD_S, Draw

REFUSED = -1  # no ticket
# So that processes whose breakers opened together do not all try again together.
JITTER = 0.2
# Before it closes, it must have room for this many trials, and nobody may have been refused for
# CALM_S. Refused callers come back sooner than that, so a crowd is let in as fast as it is served,
# not all at once after the first success.
ENOUGH_ROOM = 8
CALM_S = SPREAD_S + 1.0

_CLOSED, _HALF_OPEN, _OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


class Change(msgspec.Struct, frozen=True):
    """What a breaker reports about a change of its state."""

    state: BreakerState
    attempts: int = 0  # the attempts that led to the change
    failures: int = 0
    lasts_s: float = 0.0  # how long it stays open


class Breaker:
    """Counts attempts while closed, refuses them while open, lets a few try while half open."""

    __slots__ = (
        "_attempts",
        "_clock",
        "_closed_at",
        "_draw",
        "_epoch",
        "_failures",
        "_openings",
        "_past",
        "_refused_at",
        "_report",
        "_room",
        "_spec",
        "_tried_at",
        "_trying",
        "_turns_at",
        "_until",
        "state",
    )

    def __init__(
        self,
        spec: BreakerSpec,
        report: Callable[[Change], None],
        clock: Clock = monotonic,
        draw: Draw = random.uniform,
    ) -> None:
        self.state = _CLOSED
        self._spec = spec
        self._report = report
        self._clock = clock
        self._draw = draw
        self._epoch = 0  # counts state changes; the ticket of each attempt that begins meanwhile
        self._attempts = self._failures = 0  # in this half of the window, or among the trials
        self._past = (0, 0)  # the same two counts for the previous half
        self._turns_at = 0.0
        self._closed_at = 0.0
        self._openings = 0  # how many times in a row it opened
        self._until = 0.0  # when it stops being open
        self._room = 1  # how many trials may run at a time
        self._trying = 0
        self._tried_at = 0.0
        self._refused_at = 0.0

    def refuses(self) -> bool:
        """Whether an attempt would be refused now; a refused caller counts as after `enter`."""
        if self.state is _CLOSED:
            return False
        now = self._clock()
        return now < self._until if self.state is _OPEN else not self._has_room(now)

    @property
    def standing(self) -> BreakerState:
        """The state that the next caller will find; `state` may be stale if nobody asked lately."""
        is_due = self.state is _OPEN and self._clock() >= self._until
        return _HALF_OPEN if is_due else self.state

    @property
    def wait_s(self) -> float:
        """Seconds until another attempt may be let through."""
        return max(0.0, self._until - self._clock()) if self.state is _OPEN else 0.0

    def enter(self) -> int:
        """A ticket for an attempt, needed to note its verdict; REFUSED if it is not allowed."""
        if self.state is _CLOSED:
            return self._epoch
        now = self._clock()
        if self.state is _OPEN:
            if now < self._until:
                return REFUSED
            self._half_open()
        if not self._has_room(now):
            return REFUSED
        self._trying += 1
        self._tried_at = now
        return self._epoch

    def note(self, ticket: int, now: float, *, has_failed: bool | None) -> None:
        """Note the verdict on an attempt, once per ticket; `has_failed` is None for no verdict."""
        if ticket != self._epoch:
            return
        if self.state is _CLOSED:
            if has_failed is not None:
                self._count(now, has_failed=has_failed)
            return
        self._trying -= 1
        if has_failed is not None:
            self._judge_trial(has_failed=has_failed)

    def note_late(self, ticket: int, now: float) -> None:
        """Note that an attempt noted as a success has failed after all."""
        if ticket != self._epoch:
            return
        if self.state is _CLOSED:
            self._turn(now)
            self._failures += 1
            self._attempts = max(self._attempts, self._failures)  # its attempt may be too old
            self._open_if_failing()
        else:
            self._attempts = max(self._attempts - 1, 0)  # it counts once, as a failure
            self._judge_trial(has_failed=True)

    def _has_room(self, now: float) -> bool:
        # A trial without a verdict for `open_s` must not keep all others out.
        if self._trying < self._room or now >= self._tried_at + self._spec.open_s:
            return True
        self._refused_at = now
        return False

    def _count(self, now: float, *, has_failed: bool) -> None:
        if now >= self._turns_at:
            self._turn(now)
        self._attempts += 1
        if has_failed:
            self._failures += 1
            self._open_if_failing()

    def _turn(self, now: float) -> None:
        if now < self._turns_at:
            return
        half_s = self._spec.window_s / 2
        is_next = now < self._turns_at + half_s
        self._past = (self._attempts, self._failures) if is_next else (0, 0)
        self._attempts = self._failures = 0
        self._turns_at = now + half_s

    def _open_if_failing(self) -> None:
        attempts = self._attempts + self._past[0]
        failures = self._failures + self._past[1]
        if attempts >= self._spec.min_attempts and failures >= self._spec.failure_share * attempts:
            self._open(attempts, failures)

    def _judge_trial(self, *, has_failed: bool) -> None:
        self._attempts += 1
        if not has_failed:
            self._room += 1
            if self._room >= ENOUGH_ROOM and self._clock() >= self._refused_at + CALM_S:
                self._close()
            return
        self._failures += 1
        if self._failures >= self._spec.failure_share * self._attempts:
            self._open(self._attempts, self._failures)
            return
        # It falters: halve the number of trials at a time, and the weight of earlier ones.
        self._room = max(1, self._room // 2)
        self._attempts, self._failures = self._attempts // 2, self._failures // 2

    def _open(self, attempts: int, failures: int) -> None:
        now, spec = self._clock(), self._spec
        if self.state is _CLOSED and now >= self._closed_at + spec.max_open_s:
            self._openings = 0
        lasts_s = min(spec.open_s * 2**self._openings, spec.max_open_s)
        lasts_s *= self._draw(1 - JITTER, 1 + JITTER)
        self._openings = min(self._openings + 1, 30)
        self._until = now + lasts_s
        self._enter_state(Change(_OPEN, attempts, failures, lasts_s))

    def _half_open(self) -> None:
        self._room = 1
        self._enter_state(Change(_HALF_OPEN))

    def _close(self) -> None:
        self._closed_at = self._clock()
        self._enter_state(Change(_CLOSED, self._attempts, self._failures))

    def _enter_state(self, change: Change) -> None:
        self.state = change.state
        self._epoch += 1
        self._trying = 0
        self._attempts = self._failures = 0
        self._past = (0, 0)
        self._turns_at = 0.0
        self._report(change)
