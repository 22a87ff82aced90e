"""How long an attempt may take, and what is due when.

The rule here: one timer an attempt, armed for the earliest thing that may come due and moved on
when it fires early. Content only notes its time, so a chunk costs no timer.
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

# After the terminator the framing should end at once, and after the head of an error its body; a
# provider that keeps the connection open is not waited for longer than this.
DONE_LINGER_S = 5.0

# So late a timer is when this process was stopped or starved. What came meanwhile may wait in a
# socket, and is read after the timers: whoever was late themselves cannot say who else was.
HELD_UP_S = 0.25
GRACE_S = 1.0

NEVER = math.inf


def exceed_total(label: str, timeouts: TimeoutsSpec) -> UpstreamTotalTimeoutError:
    """The error of an exchange that takes longer than it may."""
    return UpstreamTotalTimeoutError(f"{label} did not finish within {timeouts.total_s:g} s.")


class Deadlines(msgspec.Struct):
    """The clock of one attempt; all times are seconds of `core.clock.monotonic`."""

    label: str
    timeouts: TimeoutsSpec
    first_content_s: float
    total_at: float
    commit_at: float = NEVER  # the head leaves now, content or not
    comment_every_s: float = NEVER
    sent_at: float = 0.0
    taken_at: float = 0.0  # of the last look at which the provider had not taken all of it before
    was_sending: bool = False  # at that look it still had not
    content_at: float | None = None  # of the last content
    longest_gap_s: float = 0.0  # between two pieces of content
    held_back_s: float = 0.0  # between pieces of content, because the caller did not keep up
    done_at: float = NEVER  # the terminator came, or the status of an error
    relayed_at: float = 0.0  # of the last bytes that went downstream
    is_paused: bool = False  # the caller does not keep up: not the provider's silence
    forgiven_at: float | None = NEVER  # the content since which lateness was forgiven

    def note_content(self, now: float) -> None:
        """Content came; `Attempt.on_chunk` does the same without a call."""
        before = self.content_at
        if before is not None and now - before > self.longest_gap_s:
            self.longest_gap_s = now - before
        self.content_at = now

    def note_caught_up(self, now: float) -> None:
        """The caller did not keep up since the last content; nobody is silent from here on."""
        if self.content_at is not None:
            self.held_back_s += now - self.content_at
            self.content_at = now

    def measure_longest_gap_s(self, cut_at: float | None) -> float:
        """The longest time without content; until `cut_at` too, where the stream was cut there.

        Whoever leaves because nothing comes has waited for longer than those who stay.
        """
        if cut_at is None or self.content_at is None or self.is_paused:
            return self.longest_gap_s
        return max(self.longest_gap_s, cut_at - self.content_at)

    def next_at(self, now: float, *, is_sending: bool, is_committed: bool) -> float:
        """When to look again."""
        self._note_sending(now, is_sending=is_sending)
        if self.done_at < NEVER:
            return self.done_at + DONE_LINGER_S
        at = min(self.total_at, self._content_due_at())
        if self.content_at is None:
            # Content that comes right now may be idle from then on: looking that early saves
            # moving the timer when it comes.
            at = min(at, now + self.timeouts.idle_s)
        if is_sending:
            at = min(at, self.sent_at + self.timeouts.request_body_s)
        return min(at, self.comment_at if is_committed else self.commit_at)

    def find_overdue(self, now: float, *, is_sending: bool) -> UpstreamError | None:
        """The deadline that has passed, if one has; none once it is done."""
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
        """Whether a deadline that passed is to be looked at again in GRACE_S.

        Once for each silence, or a gateway that is always late would have no deadlines.
        """
        if late_s <= HELD_UP_S or self.forgiven_at == self.content_at:
            return False
        self.forgiven_at = self.content_at
        return True

    @property
    def comment_at(self) -> float:
        """When the caller has heard nothing for so long that a comment is due."""
        return max(self.relayed_at, self.content_at or 0.0) + self.comment_every_s

    def is_done_overdue(self, now: float) -> bool:
        """True when it is done and the framing still has not ended."""
        return now >= self.done_at + DONE_LINGER_S

    def _note_sending(self, now: float, *, is_sending: bool) -> None:
        # Nobody tells when the last byte was taken: it was not before the look before this one.
        if is_sending or self.was_sending:
            self.taken_at, self.was_sending = now, is_sending

    def _content_due_at(self) -> float:
        if self.is_paused:
            return NEVER
        if self.content_at is None:
            return max(self.sent_at, self.taken_at) + self.first_content_s
        return self.content_at + self.timeouts.idle_s
