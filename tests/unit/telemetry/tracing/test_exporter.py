"""Sending spans: nobody waits for it, and nothing is lost without being counted."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.config.tracing import TracingSpec
from gateway.core.clock import Clock, monotonic
from gateway.telemetry.tracing.exporter import BATCH_SPANS, SAY_EVERY_S, Exporter
from gateway.telemetry.tracing.spans import count_refused
from tests.plugins.chain import LogLines
from tests.plugins.span_collector import SpanCollector

TIMEOUT_S = 10


def join(written: Iterable[bytes]) -> bytes:
    """Nothing around them: a collector ignores a field that it does not know."""
    return b"".join(written)


SPAN = b"\xa2\x06\x01x"  # field 100, which is none


@asynccontextmanager
async def exporting(
    collector: SpanCollector, clock: Clock = monotonic, **fields: Any
) -> AsyncIterator[Exporter]:
    """An exporter that runs, and is ended and waited for."""
    spec = TracingSpec(**{"endpoint": collector.url, "export_every_s": 0.01, **fields})
    exporter = Exporter(spec, join, count_refused, clock)
    running = asyncio.ensure_future(exporter.run())
    yield exporter
    exporter.end()
    async with asyncio.timeout(TIMEOUT_S):
        await running
    exporter.give_up()


async def test_spans_wait_for_others_but_not_for_long(span_collector: SpanCollector) -> None:
    """One request for many of them."""
    async with exporting(span_collector) as exporter:
        for _ in range(10):
            exporter.put(SPAN, 1)
        await span_collector.wait_for_requests(1)

    assert span_collector.bodies == [SPAN * 10]
    assert (exporter.sent, exporter.dropped, exporter.waiting) == (10, 0, 0)


async def test_a_full_batch_does_not_wait(span_collector: SpanCollector) -> None:
    """A busy gateway sends as they come, in requests of a bounded size."""
    async with exporting(span_collector, export_every_s=3600) as exporter:
        for _ in range(BATCH_SPANS + 1):
            exporter.put(SPAN, 1)
        await span_collector.wait_for_requests(1)
        assert span_collector.bodies == [SPAN * BATCH_SPANS]

    assert span_collector.bodies == [SPAN * BATCH_SPANS, SPAN]


async def test_what_does_not_fit_is_dropped(span_collector: SpanCollector) -> None:
    """Memory is bounded, also for what is being sent; spans of one exchange stay together."""
    async with exporting(span_collector, max_queued_spans=5) as exporter:
        for _ in range(4):
            exporter.put(SPAN, 2)

        assert (exporter.waiting, exporter.dropped) == (4, 4)

    assert (exporter.sent, exporter.dropped) == (4, 4)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_may_pass_is_sent_again(
    span_collector: SpanCollector, log_lines: LogLines, status: int
) -> None:
    """A collector that is restarted loses nothing; one line says so, and one that it is over."""
    span_collector.statuses = [status, status]
    span_collector.headers = {"Retry-After": "0"}
    async with exporting(span_collector) as exporter:
        exporter.put(SPAN, 2)
        await span_collector.wait_for_requests(3)

    assert span_collector.bodies == [SPAN] * 3
    assert (exporter.sent, exporter.dropped) == (2, 0)
    (failing,) = log_lines.find("tracing.collector_failing")
    assert failing["reason"] == f"status {status}"
    assert [x["dropped"] for x in log_lines.find("tracing.collector_answers")] == [0]


async def test_a_queue_that_is_smaller_than_a_batch_is_sent_when_it_is_half_full(
    span_collector: SpanCollector,
) -> None:
    """Or whatever comes beyond it within `export_every_s` would be dropped, each time."""
    async with exporting(span_collector, export_every_s=3600, max_queued_spans=10) as exporter:
        for _ in range(3):
            exporter.put(SPAN * 5, 5)
            await span_collector.wait_for_requests(len(span_collector.requests) + 1)

    assert (exporter.sent, exporter.dropped) == (15, 0)


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_any_success_is_one(
    span_collector: SpanCollector, log_lines: LogLines, status: int
) -> None:
    """Gateways before collectors accept what they pass on later."""
    span_collector.statuses = [status]
    async with exporting(span_collector) as exporter:
        exporter.put(SPAN, 2)
        await span_collector.wait_for_requests(1)

    assert (exporter.sent, exporter.dropped) == (2, 0)
    assert log_lines.find("tracing.collector_failing") == []


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
async def test_what_will_not_pass_is_dropped(
    span_collector: SpanCollector, log_lines: LogLines, status: int
) -> None:
    """The same batch gets the same answer; the next one may not."""
    span_collector.statuses = [status]
    span_collector.headers = {"Location": "/elsewhere"}
    async with exporting(span_collector) as exporter:
        exporter.put(SPAN, 2)
        await span_collector.wait_for_requests(1)
        exporter.put(SPAN, 3)
        await span_collector.wait_for_requests(2)

    assert (exporter.sent, exporter.dropped) == (3, 2)
    assert len(log_lines.find("tracing.collector_failing")) == 1


async def test_what_a_collector_refuses_of_a_batch_is_counted(
    span_collector: SpanCollector, log_lines: LogLines
) -> None:
    """An answer of 200 is not always one that all was taken."""
    span_collector.rejects = 2
    async with exporting(span_collector) as exporter:
        exporter.put(SPAN, 5)
        await span_collector.wait_for_requests(1)

    assert (exporter.sent, exporter.dropped) == (3, 2)
    assert log_lines.find("tracing.collector_failing")[0]["reason"] == "2 spans refused"


@pytest.mark.parametrize(("rejects", "statuses", "dropped"), [(1, [], 3), (0, [400], 5)])
async def test_a_collector_that_did_not_like_a_batch_gets_the_others_at_the_end(
    span_collector: SpanCollector, rejects: int, statuses: list[int], dropped: int
) -> None:
    """It is there; what is left is not to be lost because of what came before."""
    span_collector.rejects, span_collector.statuses = rejects, statuses
    async with exporting(span_collector) as exporter:
        exporter.put(SPAN, 5)
        await span_collector.wait_for_requests(1)
        for _ in range(2):
            exporter.put(SPAN, BATCH_SPANS)

    assert len(span_collector.requests) == 3
    assert (exporter.sent, exporter.dropped) == (5 + 2 * BATCH_SPANS - dropped, dropped)


async def test_what_is_refused_is_read_to_its_end(span_collector: SpanCollector) -> None:
    """An answer may come in pieces."""
    span_collector.rejects, span_collector.in_pieces = 2, True
    async with exporting(span_collector) as exporter:
        exporter.put(SPAN, 5)
        await span_collector.wait_for_requests(1)

    assert (exporter.sent, exporter.dropped) == (3, 2)


async def test_a_collector_that_comes_back_gets_what_waited(log_lines: LogLines) -> None:
    """And the line says how much it will never get."""
    async with SpanCollector() as gone:
        port = gone.port
    async with exporting(gone, max_queued_spans=2) as exporter:
        exporter.put(SPAN, 2)
        async with asyncio.timeout(TIMEOUT_S):
            while not exporter.is_failing:  # noqa: ASYNC110 - it tells nobody but the log
                await asyncio.sleep(0.001)
        exporter.put(SPAN, 2)
        async with SpanCollector(port) as back:
            await back.wait_for_requests(1)

    assert (exporter.sent, exporter.dropped) == (2, 2)
    assert [x["dropped"] for x in log_lines.find("tracing.collector_answers")] == [2]


async def test_what_a_slow_collector_costs_is_said_now_and_then(
    span_collector: SpanCollector, log_lines: LogLines
) -> None:
    """It answers, so no other line would say it; and not one for each of its answers."""
    now = [0.0]
    span_collector.is_slow = True
    async with exporting(span_collector, lambda: now[0], max_queued_spans=4) as exporter:
        exporter.put(SPAN, 2)
        await span_collector.wait_for_requests(1)
        # When it answers: at once, at once, just in time, and nearly in time.
        for asked, now[0] in ((1, 0.0), (2, 0.0), (3, SAY_EVERY_S), (4, 2 * SAY_EVERY_S - 1)):
            for _ in range(5):
                exporter.put(SPAN, 1)  # two have a place
            span_collector.may_answer.set()
            await span_collector.wait_for_requests(asked + 1)
        span_collector.may_answer.set()

    assert [x["count"] for x in log_lines.find("tracing.spans_dropped")] == [3, 6]
    assert [x["count"] for x in log_lines.find("tracing.spans_lost")] == [3]  # at the end the rest
    assert (exporter.sent, exporter.dropped) == (10, 12)
    assert log_lines.find("tracing.collector_failing") == []


async def test_what_was_lost_before_a_failure_was_noticed_counts_as_well(
    span_collector: SpanCollector, log_lines: LogLines
) -> None:
    """A collector that hangs fails when its time is over; the queue is full before."""
    span_collector.is_slow = True
    span_collector.statuses = [503]
    span_collector.headers = {"Retry-After": "0"}
    async with exporting(span_collector, max_queued_spans=2) as exporter:
        exporter.put(SPAN, 2)
        await span_collector.wait_for_requests(1)
        exporter.put(SPAN, 2)
        span_collector.may_answer.set()
        await span_collector.wait_for_requests(2)
        exporter.put(SPAN, 2)
        span_collector.may_answer.set()

    assert (exporter.sent, exporter.dropped) == (2, 4)
    assert [x["dropped"] for x in log_lines.find("tracing.collector_answers")] == [4]
    for event in ("tracing.spans_dropped", "tracing.spans_lost"):
        assert log_lines.find(event) == []


async def test_a_collector_that_does_not_answer_is_given_up(
    span_collector: SpanCollector, log_lines: LogLines
) -> None:
    """Its time is bounded; at the end it is asked once more and no more."""
    span_collector.is_silent = True
    async with exporting(span_collector, timeout_s=0.05) as exporter:
        exporter.put(SPAN, 2)
        await span_collector.wait_for_requests(1)

    assert (exporter.sent, exporter.dropped) == (0, 2)
    assert log_lines.find("tracing.collector_failing")[0]["reason"] == "no answer within 0.05 s"


async def test_an_idle_connection_that_was_closed_is_no_failure(
    span_collector: SpanCollector, log_lines: LogLines
) -> None:
    """A collector closes what is not used; that is nobody's fault."""
    async with exporting(span_collector) as exporter:
        exporter.put(SPAN, 1)
        await span_collector.wait_for_requests(1)
        transport = span_collector.requests[0].transport
        assert transport is not None
        transport.abort()
        exporter.put(SPAN, 1)
        await span_collector.wait_for_requests(2)

    assert exporter.sent == 2
    assert log_lines.find("tracing.collector_failing") == []


async def test_only_a_collector_of_a_trusted_authority_is_sent_anything(
    tmp_path: Path, log_lines: LogLines
) -> None:
    """A header with a credential goes along with the spans."""
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async with SpanCollector(tls=tls) as collector:
        async with exporting(collector, ca_file=file) as exporter:
            exporter.put(SPAN, 1)
            await collector.wait_for_requests(1)
        async with exporting(collector) as stranger:
            stranger.put(SPAN, 1)

    assert (exporter.sent, stranger.sent, stranger.dropped) == (1, 0, 1)
    assert len(collector.requests) == 1
    assert "Certificate" in log_lines.find("tracing.collector_failing")[0]["reason"]


async def test_spans_can_be_compressed(span_collector: SpanCollector) -> None:
    """Over a line that is paid for by the byte."""
    async with exporting(span_collector, compression="gzip") as exporter:
        exporter.put(SPAN, 1)
        await span_collector.wait_for_requests(1)

    assert span_collector.requests[0].headers["content-encoding"] == "gzip"
    assert span_collector.bodies == [SPAN]


async def test_an_end_before_the_beginning_sends_what_is_there(
    span_collector: SpanCollector,
) -> None:
    """A gateway may be stopped at once."""
    exporter = Exporter(TracingSpec(endpoint=span_collector.url), join, count_refused)
    exporter.put(SPAN, 1)
    exporter.end()

    async with asyncio.timeout(TIMEOUT_S):
        await exporter.run()

    assert span_collector.bodies == [SPAN]
