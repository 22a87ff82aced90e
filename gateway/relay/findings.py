"""What an attempt finds out: when things happened, what arrived, and what it costs.

The rule here: this holds facts only, filled in by the attempt. Whoever reads them decides what
they mean for the caller.
"""

import msgspec

from gateway.core.attempts import AttemptRecord
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.exchange import Exchange
from gateway.core.trace import AttemptTrace
from gateway.core.usage import Usage
from gateway.relay.deadlines import Deadlines
from gateway.relay.pumps import Pump
from gateway.relay.verdict import Whole, read_usage
from gateway.wire.answered import read_whole
from gateway.wire.estimates import BYTES_PER_TOKEN
from gateway.wire.headers import UPSTREAM_REQUEST_ID


class Findings(msgspec.Struct, eq=False):
    """The facts of one attempt. Times are seconds of `core.clock.monotonic`; 0: not yet."""

    pump: Pump | None
    deadlines: Deadlines
    sent_at: float = 0.0
    headed_at: float = 0.0
    first_content_at: float = 0.0
    ended_at: float = 0.0
    status: int = 0  # the provider's
    headers: list[tuple[str, str]] = []  # those that may be passed on to the caller
    whole: Whole | None = None  # a reply that was collected whole
    error: GatewayError | None = None  # why it failed; None for a complete answer

    @property
    def fault_was_relayed(self) -> bool:
        """True when the caller was sent the provider's own error event."""
        return self.pump is not None and self.pump.fault_was_relayed

    @property
    def left_event_open(self) -> bool:
        """True when the caller was sent part of an event but not its end."""
        return self.pump is not None and self.pump.left_event_open

    def take_error(self) -> GatewayError:
        """Why the attempt failed, for raising; the attempt itself no longer refers to it.

        The traceback refers to a frame that refers to the attempt. Keeping the error here would
        make that a cycle, with the whole request in it.
        """
        error, self.error = self.error, None
        if error is None:
            raise RuntimeError("The attempt has not failed.")
        return error

    def count_usage(self, prompt_tokens: int) -> Usage | None:
        """What the attempt, now ended, is billed for; None if nothing.

        It is the provider's count, with our estimate of what it left out. If the provider failed,
        it is what it had counted or sent by then. Otherwise it has at least read the prompt.
        """
        usage, tokens_out = None, 0
        if self.pump is not None:
            usage, tokens_out = self.pump.usage, self.pump.tokens_seen
        elif self.whole is not None and self.error is None:
            usage, tokens_out = read_usage(self.whole), len(self.whole.body) // BYTES_PER_TOKEN
        if usage is not None:
            return usage.fill(prompt_tokens, tokens_out)
        if isinstance(self.error, UpstreamError) or not self.sent_at:
            return None
        return Usage(prompt_tokens, tokens_out, "estimate")

    def note_on(self, exchange: Exchange) -> None:
        """Copy the facts to the exchange; called once, when the attempt has ended."""
        exchange.upstream_started_at = self.sent_at
        exchange.upstream_headed_at = self.headed_at
        exchange.first_content_at = self.first_content_at
        exchange.upstream_ended_at = self.ended_at
        exchange.upstream_request_id = dict(self.headers).get(UPSTREAM_REQUEST_ID, "")
        if self.pump is not None:
            exchange.chunks = self.pump.content_events
            exchange.last_content_at = self.deadlines.content_at or 0.0
            cut_at = None if self.pump.is_complete else self.ended_at
            exchange.longest_gap_s = self.deadlines.measure_longest_gap_s(cut_at)
            exchange.held_back_s = self.deadlines.held_back_s
        usage = self.count_usage(exchange.prompt_tokens)
        if usage is not None:
            exchange.note_usage(usage)

    def note_in(self, record: AttemptRecord) -> None:
        """Copy the facts about the attempt itself to its record, now that it has ended."""
        record.ended_at = self.ended_at
        record.status = self.status
        record.upstream_request_id = dict(self.headers).get(UPSTREAM_REQUEST_ID, "")
        if self.error is not None:
            record.note_error(self.error)
        if record.trace is not None:
            self._note_trace(record.trace)

    def _note_trace(self, trace: AttemptTrace) -> None:
        trace.sent_at = self.sent_at
        trace.first_content_at = self.first_content_at
        if self.pump is not None:
            trace.answered = self.pump.answered
        elif self.whole is not None and self.error is None:
            trace.answered = read_whole(self.whole.body)
