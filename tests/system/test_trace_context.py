"""Which trace an exchange is part of, and who is shown it (W3C Trace Context).

The rule here: what a provider was shown is read off the provider.
"""

import pytest

from gateway.app import TRACING
from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway
from tests.plugins.span_collector import SpanCollector
from tests.plugins.traced_gateway import V1, StartTraced, ask, split

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01"
NOT_SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-00"


async def test_a_callers_trace_goes_on(
    start_traced: StartTraced, simulator: Simulator, span_collector: SpanCollector
) -> None:
    """One trace from the front end to the provider."""
    gateway = await start_traced()

    await ask(gateway, "plain", V1, f"traceparent: {SAMPLED}", "tracestate: a=1", "tracestate: b=2")
    server, (attempt,) = split(await span_collector.wait_for_spans(2))

    assert (server.trace_id, server.parent) == (TRACE_ID, SPAN_ID)
    assert server.raw.flags & 0x300 == 0x300
    assert attempt.raw.flags & 0x300 == 0x100
    assert server.raw.trace_state == "a=1,b=2"
    shown = simulator.journal.last
    assert shown.header("traceparent") == f"00-{TRACE_ID}-{attempt.id}-01"
    assert shown.header("tracestate") == "a=1,b=2"


@pytest.mark.parametrize(
    "headers",
    [
        (f"traceparent: {SAMPLED}", f"traceparent: {SAMPLED}"),
        (f"traceparent: {SAMPLED.upper()}",),
        (f"traceparent: 00-{'0' * 32}-{SPAN_ID}-01", "tracestate: a=1"),
        (f"traceparent: 00-{TRACE_ID}-{'0' * 16}-01",),
        (f"traceparent: ff-{TRACE_ID}-{SPAN_ID}-01",),
        (f"traceparent: {SAMPLED}-more",),
        ("traceparent: ", "tracestate: a=1"),
        ("tracestate: a=1",),
    ],
)
async def test_a_trace_that_is_none_begins_anew(
    start_traced: StartTraced,
    simulator: Simulator,
    span_collector: SpanCollector,
    headers: tuple[str, ...],
) -> None:
    """It is ignored, whatever it is, and goes no further."""
    gateway = await start_traced()

    await ask(gateway, "plain", V1, *headers)
    server, (attempt,) = split(await span_collector.wait_for_spans(2))

    assert server.parent == ""
    assert server.trace_id not in {TRACE_ID, "0" * 32}
    shown = simulator.journal.last
    assert shown.header("traceparent") == f"00-{server.trace_id}-{attempt.id}-01"
    assert shown.header("tracestate") is None


async def test_what_the_caller_does_not_record_is_not_recorded(
    start_traced: StartTraced, simulator: Simulator, span_collector: SpanCollector
) -> None:
    """A trace is whole or not there; and it goes on, so that nobody further on begins a new one."""
    gateway = await start_traced()

    await ask(gateway, "plain", V1, f"traceparent: {NOT_SAMPLED}")
    await ask(gateway, "plain", V1, f"traceparent: {SAMPLED}")
    split(await span_collector.wait_for_spans(2))

    first = simulator.journal[0].header("traceparent")
    assert first is not None
    _, trace_id, span_id, flags = first.split("-")
    assert (trace_id, flags) == (TRACE_ID, "00")
    assert span_id not in {SPAN_ID, "0" * 16}
    assert len(span_collector.spans) == 2
    assert [line["trace_id"] for line in gateway.log.settled] == [TRACE_ID] * 2


async def test_callers_need_not_be_believed(
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """Where anybody may call, anybody could have everything recorded."""
    gateway = await start_traced(callers_decide=False, sample_ratio=0)

    await ask(gateway, "plain", V1, f"traceparent: {SAMPLED}")
    await gateway.service.stop()

    assert span_collector.requests == []


@pytest.mark.parametrize(("told", "is_shown"), [(["sim"], True), ([], False)])
async def test_a_provider_is_shown_the_trace_only_where_it_may_be(
    start_traced: StartTraced,
    simulator: Simulator,
    span_collector: SpanCollector,
    *,
    told: list[str],
    is_shown: bool,
) -> None:
    """Who is told that two requests belong together is the operator's to say."""
    gateway = await start_traced(propagate_to=told)

    await ask(gateway, "plain", V1, f"traceparent: {SAMPLED}", "tracestate: a=1")
    server, _ = split(await span_collector.wait_for_spans(2))

    assert server.trace_id == TRACE_ID
    assert (simulator.journal.last.header("traceparent") is not None) == is_shown
    assert (simulator.journal.last.header("tracestate") is not None) == is_shown


async def test_without_tracing_a_callers_trace_passes_as_it_came(
    gateway: Gateway, simulator: Simulator
) -> None:
    """A gateway that records nothing does not stand between two that do."""
    await ask(gateway, "plain", V1, f"traceparent: {SAMPLED}")

    assert simulator.journal.last.header("traceparent") == SAMPLED
    assert gateway.log.settled[0]["trace_id"] is None
    assert TRACING not in gateway.service.app
