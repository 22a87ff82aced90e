"""How long an attempt may take, and when each deadline is due.

The rule here: each attempt has one timer, armed for the earliest deadline and armed again when it
fires too early. Content only records its time, so a chunk never touches the timer.
"""

import math

import msgspec

from gateway.config.provider_blocks import TimeoutsSpec
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamFirstContentTimeoutError,
    UpstreamIdleTimeoutError,
    UpstreamRequestTimeoutError,
    UpstreamTotalTimeoutError,
)

# The framing should end right after the terminator, and an error's body should follow its head at
# once. We wait no longer than this for a provider that keeps the connection open.
DONE_LINGER_S = 5.0

# A timer this late means that this process was stopped or starved. Bytes that arrived meanwhile
# may still be in the socket, which the loop reads after running timers, so the provider may not
# have been late at all. It gets GRACE_S more.
HELD_UP_S = 0.25
GRACE_S = 1.0

NEVER = math.inf


def exceed_total(label: str, timeouts: TimeoutsSpec) -> UpstreamTotalTimeoutError:
    """The error of an exchange that exceeds its total time."""
    return UpstreamTotalTimeoutError(f"{label} did not finish within {timeouts.total_s:g} s.")


class Deadlines(msgspec.Struct):
    """The clock of one attempt; all times are seconds of `core.clock.monotonic`."""

    label: str
    timeouts: TimeoutsSpec
    first_content_s: float
    total_at: float
    commit_at: float = NEVER  # send the head then, with or without content
    comment_every_s: float = NEVER
    sent_at: float = 0.0
    taken_at: float = 0.0  # the first check that found the request all sent; until then, the last
    was_sending: bool = False  # at that check some of it was still unsent
    content_at: float | None = None  # when content last arrived
    longest_gap_s: float = 0.0  # between two pieces of content
    held_back_s: float = 0.0  # time without content because the caller did not keep up
    done_at: float = NEVER  # when the terminator, or the status of an error, arrived
    relayed_at: float = 0.0  # when bytes last went downstream
    is_paused: bool = False  # the caller does not keep up, so silence is not the provider's fault
    forgiven_at: float | None = NEVER  # `content_at` of the silence that was last forgiven

    def note_content(self, now: float) -> None:
        """Record that content arrived; `Attempt.on_chunk` does the same inline to save a call."""
        before = self.content_at
        if before is not None and now - before > self.longest_gap_s:
            self.longest_gap_s = now - before
        self.content_at = now

    def note_caught_up(self, now: float) -> None:
        """The caller has caught up: book the time as held back and measure silence from now."""
        if self.content_at is not None:
            self.held_back_s += now - self.content_at
            self.content_at = now

    def measure_longest_gap_s(self, cut_at: float | None) -> float:
        """The longest time without content; a stream cut at `cut_at` counts the wait until then.

        Otherwise a caller who gives up during a long silence would count as having waited less
        than one who stayed.
        """
        if cut_at is None or self.content_at is None or self.is_paused:
            return self.longest_gap_s
        return max(self.longest_gap_s, cut_at - self.content_at)

    def next_at(self, now: float, *, is_sending: bool, is_committed: bool) -> float:
        """When to check the deadlines again."""
        self._note_sending(now, is_sending=is_sending)
        if self.done_at < NEVER:
            return self.done_at + DONE_LINGER_S
        at = min(self.total_at, self._content_due_at())
        if self.content_at is None:
            # Content that arrives right now would be idle by then. Checking that early means that
            # the first content need not move the timer.
            at = min(at, now + self.timeouts.idle_s)
        if is_sending:
            at = min(at, self.sent_at + self.timeouts.request_body_s)
        return min(at, self.comment_at if is_committed else self.commit_at)

    def find_overdue(self, now: float, *, is_sending: bool) -> UpstreamError | None:
        """The error of a deadline that has passed; None if there is none or the answer is done."""
        spec = self.timeouts
        self._note_sending(now, is_sending=is_sending)
        if self.done_at < NEVER:
            return None
        if now >= self.total_at:
            return exceed_total(self.label, spec)
        if is_sending and now >= self.sent_at + spec.request_body_s:
            return UpstreamRequestTimeoutError(
                f"{self.label} did not take the request within {spec.request_body_s:g} s."
            )
        if now < self._content_due_at():
            return None
        if self.content_at is None:
            return UpstreamFirstContentTimeoutError(
                f"{self.label} sent no content within {self.first_content_s:g} s."
            )
        return UpstreamIdleTimeoutError(f"{self.label} sent nothing for {spec.idle_s:g} s.")

    def forgive(self, late_s: float) -> bool:
        """Whether a missed deadline gets GRACE_S more because this process itself was late.

        Only once for each silence, or a gateway that is always late would have no deadlines.
        """
        if late_s <= HELD_UP_S or self.forgiven_at == self.content_at:
            return False
        self.forgiven_at = self.content_at
        return True

    @property
    def comment_at(self) -> float:
        """When a keep-alive comment is due, because the caller has received nothing for long."""
        return max(self.relayed_at, self.content_at or 0.0) + self.comment_every_s

    def is_done_overdue(self, now: float) -> bool:
        """True when the answer is done and its framing has not ended in time."""
        return now >= self.done_at + DONE_LINGER_S

    def _note_sending(self, now: float, *, is_sending: bool) -> None:
        # There is no event for the last byte being taken. If it was still unsent at the previous
        # check, it was taken between then and now.
        if is_sending or self.was_sending:
            self.taken_at, self.was_sending = now, is_sending

    def _content_due_at(self) -> float:
        if self.is_paused:
            return NEVER
        if self.content_at is None:
            return max(self.sent_at, self.taken_at) + self.first_content_s
        return self.content_at + self.timeouts.idle_s
