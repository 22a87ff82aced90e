"""Where an exchange and its attempts stand in a trace (W3C Trace Context).

The rule here: ids are made before anything is sent and used when all is over, so that what a
provider was shown is what the collector gets. Without tracing none of this is made.
"""

from collections.abc import Callable

import msgspec

DrawId = Callable[[], str]
"""Gives a span id that no other span has: 16 hexadecimal digits in lower case, not all zero."""


class Answered(msgspec.Struct, frozen=True):
    """What an answer says of itself; empty where it does not."""

    model: str = ""
    id: str = ""
    finish_reasons: tuple[str, ...] = ()


class AttemptTrace(msgspec.Struct, eq=False, gc=False):
    """One attempt in the trace of its exchange. Times are seconds of `core.clock.monotonic`."""

    span_id: str
    host: str  # of the provider
    port: int
    sent_at: float = 0.0
    first_content_at: float = 0.0
    answered: Answered = Answered()


class Trace(msgspec.Struct, eq=False):
    """One exchange in its trace. Ids are hexadecimal digits in lower case."""

    trace_id: str
    span_id: str  # of the exchange
    is_sampled: bool  # whether anybody will be told of it
    draw_id: DrawId
    attempt_id: str  # of the attempt that is under way, or comes next
    parent_id: str = ""  # whose span it is part of; "": the trace begins here
    state: str = ""  # what others along the way have added, as they wrote it
    is_random: bool = False  # the caller says that the trace's id is
    told: frozenset[str] | None = None  # the providers that are shown the trace; None: all
    route: str = ""  # which of our paths it was, as the router has it

    def begin_next(self) -> None:
        """Another attempt is to be made, with an id of its own."""
        self.attempt_id = self.draw_id()

    def list_headers(self, provider: str) -> tuple[tuple[str, str], ...]:
        """What goes along with a request to this provider: the attempt is the parent there."""
        if self.told is not None and provider not in self.told:
            return ()
        flags = self.is_sampled | self.is_random << 1
        parent = ("traceparent", f"00-{self.trace_id}-{self.attempt_id}-{flags:02x}")
        return (parent, ("tracestate", self.state)) if self.state else (parent,)
