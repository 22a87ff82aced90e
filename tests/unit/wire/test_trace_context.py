"""Which trace a request is part of. More of what is none: tests/system/test_trace_context.py."""

import pytest

from gateway.wire.trace_context import TraceContext, read_context

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("flags", "is_sampled", "is_random"),
    [("00", False, False), ("01", True, False), ("03", True, True), ("fe", False, True)],
)
def test_flags_are_bits(flags: str, *, is_sampled: bool, is_random: bool) -> None:
    """Those that nobody knows yet change nothing."""
    parent = ("Traceparent", f"00-{TRACE_ID}-{SPAN_ID}-{flags}")

    found = read_context([parent, ("tracestate", "a=1")])

    assert found == TraceContext(TRACE_ID, SPAN_ID, is_sampled, is_random, "a=1")


@pytest.mark.parametrize("parent", ["01-{}-{}-01", "cc-{}-{}-01-", "cc-{}-{}-01-what-ever=it&is"])
def test_a_version_of_the_future_begins_as_the_first(parent: str) -> None:
    """A caller who is ahead of us stays in their trace (W3C Trace Context, 4.3)."""
    found = read_context([("traceparent", parent.format(TRACE_ID, SPAN_ID))])

    assert found == TraceContext(TRACE_ID, SPAN_ID, is_sampled=True, is_random=False, state="")


def test_a_state_that_cannot_be_read_is_left_out() -> None:
    """The trace goes on without it (W3C Trace Context, 3.3.1)."""
    found = read_context(
        [("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"), ("tracestate", "no pairs")]
    )

    assert found is not None
    assert found.state == ""


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("tracestate", "a=1")],
        [("traceparent", "x")],
        [("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01-")],
        [("traceparent", f"01-{TRACE_ID}-{SPAN_ID}-01.x")],
        [("traceparent", f"01-{TRACE_ID}-{SPAN_ID}-01-{'x' * 201}")],
        [("traceparent", f"01-{TRACE_ID}-{SPAN_ID}-01-a b")],
        [("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"), ("connection", "traceparent")],
    ],
)
def test_what_is_no_trace_is_none(headers: list[tuple[str, str]]) -> None:
    """Nobody is refused for it."""
    assert read_context(headers) is None
