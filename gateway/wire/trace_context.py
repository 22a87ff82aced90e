"""The trace that a request belongs to, according to its headers (W3C Trace Context).

The rule here: malformed trace headers are ignored, and never a reason to refuse a request.
"""

from collections.abc import Iterable

import msgspec

from gateway.wire.headers import Header, select_request_headers

_SAMPLED = 0x01
_RANDOM = 0x02  # from level 2 of the standard: the trace id is random


class TraceContext(msgspec.Struct, frozen=True):
    """The trace and the span that a request comes from. Ids are lower-case hexadecimal."""

    trace_id: str
    parent_id: str
    is_sampled: bool
    is_random: bool
    state: str


def read_context(headers: Iterable[Header]) -> TraceContext | None:
    """The trace named in these headers; None if there is none."""
    found = dict(select_request_headers(headers))
    parent = found.get("traceparent")
    if parent is None:
        return None
    _, trace_id, parent_id, flags, *_ = parent.split("-", 4)  # later versions add fields at the end
    bits = int(flags, 16)
    return TraceContext(
        trace_id,
        parent_id,
        is_sampled=bool(bits & _SAMPLED),
        is_random=bool(bits & _RANDOM),
        state=found.get("tracestate", ""),
    )
