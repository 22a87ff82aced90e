"""The trace that a request is part of, as its headers say (W3C Trace Context).

The rule here: what is not well formed is no trace at all, and nobody is refused for it.
"""

from collections.abc import Iterable

import msgspec

from gateway.wire.headers import Header, select_request_headers

_SAMPLED = 0x01
_RANDOM = 0x02  # of level 2: the id of the trace was drawn, not made of something


class TraceContext(msgspec.Struct, frozen=True):
    """Whose part a request is. Ids are hexadecimal digits in lower case."""

    trace_id: str
    parent_id: str
    is_sampled: bool
    is_random: bool
    state: str


def read_context(headers: Iterable[Header]) -> TraceContext | None:
    """The trace that these headers speak of; None when they speak of none."""
    found = dict(select_request_headers(headers))
    parent = found.get("traceparent")
    if parent is None:
        return None
    _, trace_id, parent_id, flags, *_ = parent.split("-", 4)  # what a later version adds is last
    bits = int(flags, 16)
    return TraceContext(
        trace_id,
        parent_id,
        is_sampled=bool(bits & _SAMPLED),
        is_random=bool(bits & _RANDOM),
        state=found.get("tracestate", ""),
    )
