"""How a collector is told, and what becomes of spans when it is not there.

The rule here: the collector is a real server; it may go away, or say nothing.
"""

import asyncio

import structlog

from tests.plugins.span_collector import SpanCollector
from tests.plugins.traced_gateway import StartTraced, ask, split


async def test_all_spans_of_a_process_are_known_as_its_own(
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """Workers of one gateway are told apart."""
    gateway = await start_traced(
        service_name="chat-eu", resource={"deployment.environment.name": "staging"}
    )

    await ask(gateway)
    server, _ = split(await span_collector.wait_for_spans(2))

    assert server.resource["service.name"] == "chat-eu"
    assert server.resource["deployment.environment.name"] == "staging"
    assert {"service.version", "service.instance.id", "process.pid"} <= set(server.resource)
    request = span_collector.requests[0]
    assert request.path == "/v1/traces"
    assert request.headers["content-type"] == "application/x-protobuf"


async def test_what_is_not_sent_yet_is_sent_when_the_gateway_stops(
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """The last exchanges before a deployment are those that are looked for."""
    gateway = await start_traced(export_every_s=3600)

    await ask(gateway)
    assert span_collector.requests == []
    await gateway.service.stop()

    split(span_collector.spans)
    assert 'gateway_trace_spans_total{outcome="sent"} 2.0' in gateway.metrics


async def test_a_collector_that_is_away_costs_nothing(
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """Callers are served, one line says so, and what was dropped is counted."""
    gateway = await start_traced(max_queued_spans=4)
    await span_collector.__aexit__()

    statuses = [(await ask(gateway)).status for _ in range(5)]
    await gateway.service.stop()

    assert statuses == [200] * 5
    failing = [x for x in gateway.log.lines if x["event"] == "tracing.collector_failing"]
    assert len(failing) == 1
    assert 'gateway_trace_spans_total{outcome="dropped"} 10.0' in gateway.metrics


async def test_a_collector_that_never_answers_holds_nothing_up(
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """Neither callers nor the end, which has its time."""
    gateway = await start_traced(flush_s=0.2)
    span_collector.is_silent = True

    await ask(gateway)
    await span_collector.wait_for_requests(1)
    assert (await ask(gateway)).status == 200
    async with asyncio.timeout(5):
        await gateway.service.stop()

    assert 'gateway_trace_spans_total{outcome="dropped"} 4.0' in gateway.metrics
    assert [x["count"] for x in gateway.log.lines if x["event"] == "tracing.spans_lost"] == [4]
    assert structlog.is_configured()
