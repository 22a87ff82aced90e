"""The place of an exchange and its attempts in a trace (W3C Trace Context).

The rule here: ids are made before anything is sent and used again at the end, so that the provider
and the collector get the same ones. Without tracing none of this exists.
"""

from collections.abc import Callable

import msgspec

DrawId = Callable[[], str]
"""Gives a span id that no other span has: 16 hexadecimal digits in lower case, not all zero."""


class Answered(msgspec.Struct, frozen=True):
    """What an answer says about itself; empty fields if it does not."""

    model: str = ""
    id: str = ""
    finish_reasons: tuple[str, ...] = ()


class AttemptTrace(msgspec.Struct, eq=False, gc=False):
    """One attempt in the trace of its exchange. Times are seconds of `core.clock.monotonic`."""

    span_id: str
    host: str  # the provider's host
    port: int
    sent_at: float = 0.0
    first_content_at: float = 0.0
    answered: Answered = Answered()


class Trace(msgspec.Struct, eq=False):
    """One exchange in its trace. Ids are hexadecimal digits in lower case."""

    trace_id: str
    span_id: str  # the exchange's own span
    is_sampled: bool  # whether it will be sent to the collector
    draw_id: DrawId
    attempt_id: str  # the span of the current or next attempt
    parent_id: str = ""  # the caller's span; "": the trace begins here
    state: str = ""  # the `tracestate` from upstream of us, unchanged
    is_random: bool = False  # the caller says that the trace id is random
    told: frozenset[str] | None = None  # the providers that get trace headers; None: all
    route: str = ""  # the matched path, as the router names it

    def begin_next(self) -> None:
        """Prepare another attempt, with its own span id."""
        self.attempt_id = self.draw_id()

    def list_headers(self, provider: str) -> tuple[tuple[str, str], ...]:
        """The headers for a request to this provider, with the attempt as the parent span."""
        if self.told is not None and provider not in self.told:
            return ()
        flags = self.is_sampled | self.is_random << 1
        parent = ("traceparent", f"00-{self.trace_id}-{self.attempt_id}-{flags:02x}")
        return (parent, ("tracestate", self.state)) if self.state else (parent,)
