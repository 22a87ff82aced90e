"""What a collector is told of exchanges, through the whole gateway.

The rule here: the collector is a real server that decodes what it gets, and what a provider was
shown is read off the provider.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog

from gateway.app import TRACING
from gateway.simulator import Simulator
from gateway.telemetry.tracing.attributes import NAMES
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import raw_request
from tests.plugins.span_collector import Seen, SpanCollector

V1 = "/v1/chat/completions"
CHAT = "/api/chat/sim"
PROMPT = "canary-prompt-77b1c0"
COLLECTOR_KEY = "canary-collector-key-51aa9d"
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01"
NOT_SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-00"

Start = Callable[..., Awaitable[Gateway]]


def body_of(path: str, directive: Any, *, stream: bool) -> dict[str, Any]:
    """A request that carries a directive for the simulator."""
    messages = [{"role": "user", "content": PROMPT}]
    if path == V1:
        return {"model": "sim/m", "messages": messages, "stream": stream, "simulate": directive}
    model = directive if isinstance(directive, str) else f"sim:{json.dumps(directive)}"
    return {"chatSettings": {"model": model}, "messages": messages}


def request_of(path: str, directive: Any, *headers: str, stream: bool = True) -> bytes:
    """The bytes of it."""
    body = json.dumps(body_of(path.partition("?")[0], directive, stream=stream)).encode()
    length = f"Content-Length: {len(body)}"
    start_line = f"POST {path} HTTP/1.1"
    return raw_request(start_line, length, *headers, body=body, authorized=False)


async def ask(
    gateway: Gateway,
    directive: Any = "plain",
    path: str = V1,
    *headers: str,
    stream: bool = True,
) -> Heard:
    """One request, heard to its end."""
    async with Caller(gateway.port) as caller:
        await caller.send(request_of(path, directive, "Connection: close", *headers, stream=stream))
        return await caller.read_to_end()


@pytest.fixture
def start(
    start_gateway: StartGateway, simulator: Simulator, span_collector: SpanCollector
) -> Start:
    """Starts a gateway that tells the collector of everything at once."""

    async def start(provider: dict[str, Any] | None = None, **tracing: Any) -> Gateway:
        sim = {"base_url": simulator.base_url, "allow_private": True, **(provider or {})}
        written = {"endpoint": span_collector.url, "export_every_s": 0.01, **tracing}
        return await start_gateway(
            providers={"sim": sim},
            settings={"tracing": written},
            environ={"SIM_API_KEY": CREDENTIAL, "COLLECTOR_KEY": COLLECTOR_KEY},
        )

    return start


def split(spans: list[Seen]) -> tuple[Seen, list[Seen]]:
    """The span of one exchange, and those of its attempts in their order."""
    (server,) = [span for span in spans if span.is_server]
    attempts = [span for span in spans if not span.is_server]
    assert all(span.parent == server.id for span in attempts)
    assert {span.trace_id for span in spans} == {server.trace_id}
    assert len({span.id for span in spans}) == len(spans)
    for span in spans:
        assert set(span.attributes) <= NAMES
        assert "" not in span.attributes.values()
        assert span.raw.start_time_unix_nano <= span.raw.end_time_unix_nano
    for span in attempts:
        assert server.raw.start_time_unix_nano <= span.raw.start_time_unix_nano
        assert span.raw.end_time_unix_nano <= server.raw.end_time_unix_nano
    return server, attempts


@pytest.mark.parametrize(
    ("path", "route"), [(V1, V1), (CHAT, "/api/chat/{provider}")], ids=["v1", "chat"]
)
async def test_a_stream_is_an_exchange_and_an_attempt(
    start: Start, simulator: Simulator, span_collector: SpanCollector, path: str, route: str
) -> None:
    """The main job, as whoever looks at traces sees it."""
    gateway = await start()

    heard = await ask(gateway, "plain", f"{path}?secret=1")
    server, (attempt,) = split(await span_collector.wait_for_spans(2))
    (line,) = gateway.log.settled

    assert heard.status == 200
    assert (server.raw.name, server.parent) == (f"POST {route}", "")
    assert not server.is_failed
    expected = {
        "http.request.method": "POST",
        "http.route": route,
        "url.path": path,
        "http.response.status_code": 200,
        "client.address": "127.0.0.1",
        "gateway.outcome": "finished",
        "gateway.request_id": line["request_id"],
        "gateway.attempts": 1,
        "http.response.body.size": line["bytes_out"],
    }
    assert {name: server.attributes.get(name) for name in expected} == expected
    assert "error.type" not in server.attributes
    assert line["trace_id"] == server.trace_id
    assert attempt.raw.name == f"chat {line['model']}"
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sim",
        "gen_ai.request.model": line["model"],
        "gen_ai.request.stream": True,
        "gen_ai.response.model": line["model"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": line["tokens_in"],
        "gen_ai.usage.output_tokens": line["tokens_out"],
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "gateway.attempt": 1,
        "gateway.credential_id": "SIM_API_KEY",
        "gateway.outcome": "finished",
        "gateway.upstream_request_id": line["upstream_request_id"],
    }
    assert {name: attempt.attributes.get(name) for name in expected} == expected
    assert 0 < attempt.attributes["gen_ai.response.time_to_first_chunk"] < 10
    shown = simulator.journal.last.header("traceparent")
    assert shown == f"00-{server.trace_id}-{attempt.id}-01"


async def test_a_whole_reply_says_the_same(start: Start, span_collector: SpanCollector) -> None:
    """Not everybody streams."""
    gateway = await start()

    heard = await ask(gateway, stream=False)
    _, (attempt,) = split(await span_collector.wait_for_spans(2))

    assert attempt.attributes["gen_ai.request.stream"] is False
    assert attempt.attributes["gen_ai.response.id"] == heard.json["id"]
    assert attempt.attributes["gen_ai.response.model"] == heard.json["model"]
    assert attempt.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert (
        attempt.attributes["gen_ai.usage.output_tokens"]
        == (heard.json["usage"]["completion_tokens"])
    )


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_each_attempt_is_a_span_that_the_provider_was_shown(
    start: Start, simulator: Simulator, span_collector: SpanCollector, path: str
) -> None:
    """A provider's own spans hang below the attempt that asked for them, not below its brother."""
    gateway = await start()
    simulator.script(
        {"error": {"status": 503, "retry_after": "0"}, "times": 1, "then": [{"preset": "plain"}]}
    )

    heard = await ask(gateway, None if path == V1 else "m", path)
    server, (first, second) = split(await span_collector.wait_for_spans(3))

    assert heard.status == 200
    assert server.attributes["gateway.attempts"] == 2
    assert not server.is_failed
    assert first.is_failed
    assert first.attributes["error.type"] == "upstream_server_error"
    assert first.attributes["http.response.status_code"] == 503
    assert first.attributes["gateway.outcome"] == "upstream_failed"
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert not second.is_failed
    assert [served.header("traceparent") for served in simulator.journal] == [
        f"00-{server.trace_id}-{span.id}-01" for span in (first, second)
    ]


async def test_a_refused_request_has_no_attempt(
    start: Start, span_collector: SpanCollector
) -> None:
    """What a caller did wrong is theirs: no error of the gateway's, and yet to be found."""
    gateway = await start()

    heard = await ask(gateway, path="/api/chat/nobody")
    server, attempts = split(await span_collector.wait_for_spans(1))

    assert (heard.status, attempts) == (404, [])
    assert server.attributes["http.response.status_code"] == 404
    assert server.attributes["error.type"] == "provider_not_found"
    assert server.attributes["gateway.outcome"] == "rejected"
    assert not server.is_failed


async def test_a_path_that_is_none_has_no_route(
    start: Start, span_collector: SpanCollector
) -> None:
    """Names of spans are few; a scanner does not make one for each path that it tries."""
    gateway = await start()

    await ask(gateway, path="/wp-admin")
    server, _ = split(await span_collector.wait_for_spans(1))

    assert server.raw.name == "POST"
    assert "http.route" not in server.attributes
    assert server.attributes["url.path"] == "/wp-admin"


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_a_provider_that_fails_in_mid_stream_fails_both(
    start: Start, span_collector: SpanCollector, path: str
) -> None:
    """The status that went out was 200, and all the same it failed."""
    gateway = await start()

    await ask(gateway, "cut", path)
    server, (attempt,) = split(await span_collector.wait_for_spans(2))

    for span in (server, attempt):
        assert span.is_failed
        assert span.attributes["http.response.status_code"] == 200
        assert span.attributes["gateway.outcome"] == "upstream_failed"
        assert span.attributes["error.type"].startswith("upstream_")
    assert "gen_ai.response.time_to_first_chunk" in attempt.attributes


@pytest.mark.parametrize("on_client_gone", ["cancel", "drain"])
async def test_a_caller_who_left_is_no_error(
    start: Start, span_collector: SpanCollector, on_client_gone: str
) -> None:
    """Nobody is woken at night because somebody closed a window."""
    gateway = await start({"on_client_gone": on_client_gone})
    directive = {"count": 40, "gap_s": 0.01}

    async with Caller(gateway.port) as caller:
        await caller.send(request_of(V1, directive))
        await caller.read_until(b"word2")
        caller.reset()
        server, (attempt,) = split(await span_collector.wait_for_spans(2))

    for span in (server, attempt):
        assert not span.is_failed
        assert span.attributes["gateway.outcome"] == "client_gone"
        assert "error.type" not in span.attributes
    assert attempt.attributes["gen_ai.usage.output_tokens"] > 1


async def test_a_provider_that_is_not_there_has_its_attempts(
    start: Start, simulator: Simulator, span_collector: SpanCollector
) -> None:
    """Nothing was sent, and somebody wants to know why."""
    gateway = await start({"retries": 1})
    await simulator.stop()

    await ask(gateway)
    server, attempts = split(await span_collector.wait_for_spans(3))

    assert server.is_failed
    assert [span.attributes["error.type"] for span in attempts] == ["upstream_connect"] * 2
    assert all("http.response.status_code" not in span.attributes for span in attempts)


async def test_a_callers_trace_goes_on(
    start: Start, simulator: Simulator, span_collector: SpanCollector
) -> None:
    """One trace from the front end to the provider."""
    gateway = await start()

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
    start: Start, simulator: Simulator, span_collector: SpanCollector, headers: tuple[str, ...]
) -> None:
    """It is ignored, whatever it is, and goes no further."""
    gateway = await start()

    await ask(gateway, "plain", V1, *headers)
    server, (attempt,) = split(await span_collector.wait_for_spans(2))

    assert server.parent == ""
    assert server.trace_id not in {TRACE_ID, "0" * 32}
    shown = simulator.journal.last
    assert shown.header("traceparent") == f"00-{server.trace_id}-{attempt.id}-01"
    assert shown.header("tracestate") is None


async def test_what_the_caller_does_not_record_is_not_recorded(
    start: Start, simulator: Simulator, span_collector: SpanCollector
) -> None:
    """A trace is whole or not there; and it goes on, so that nobody further on begins a new one."""
    gateway = await start()

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


async def test_callers_need_not_be_believed(start: Start, span_collector: SpanCollector) -> None:
    """Where anybody may call, anybody could have everything recorded."""
    gateway = await start(callers_decide=False, sample_ratio=0)

    await ask(gateway, "plain", V1, f"traceparent: {SAMPLED}")
    await gateway.service.stop()

    assert span_collector.requests == []


@pytest.mark.parametrize(("told", "is_shown"), [(["sim"], True), ([], False)])
async def test_a_provider_is_shown_the_trace_only_where_it_may_be(
    start: Start,
    simulator: Simulator,
    span_collector: SpanCollector,
    *,
    told: list[str],
    is_shown: bool,
) -> None:
    """Who is told that two requests belong together is the operator's to say."""
    gateway = await start(propagate_to=told)

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


async def test_no_secret_and_no_prompt_is_in_a_span(
    start: Start, simulator: Simulator, span_collector: SpanCollector
) -> None:
    """Traces leave the machine, and are read by people who need not know."""
    gateway = await start(headers={"authorization": "Bearer ${COLLECTOR_KEY}"})
    error = {"status": 401, "message": f"Incorrect API key provided: {CREDENTIAL}. {PROMPT}"}

    await ask(gateway, {"error": error})
    await ask(gateway, "plain", f"/v1/models/{CREDENTIAL}")
    simulator.script("plain")  # to a model it does not know it would talk for three seconds
    await ask(gateway, CREDENTIAL, CHAT)
    await span_collector.wait_for_spans(5)

    sent = b"".join(span_collector.bodies)
    for secret in (CREDENTIAL, PROMPT, COLLECTOR_KEY):
        assert secret.encode() not in sent
    first = span_collector.requests[0]
    assert first.headers["authorization"] == f"Bearer {COLLECTOR_KEY}"
    assert COLLECTOR_KEY in gateway.secrets
    assert COLLECTOR_KEY not in repr(gateway.service.app[TRACING].exporter.__dict__)
    assert simulator.journal.count


async def test_all_spans_of_a_process_are_known_as_its_own(
    start: Start, span_collector: SpanCollector
) -> None:
    """Workers of one gateway are told apart."""
    gateway = await start(
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
    start: Start, span_collector: SpanCollector
) -> None:
    """The last exchanges before a deployment are those that are looked for."""
    gateway = await start(export_every_s=3600)

    await ask(gateway)
    assert span_collector.requests == []
    await gateway.service.stop()

    split(span_collector.spans)
    assert 'gateway_trace_spans_total{outcome="sent"} 2.0' in gateway.metrics


async def test_a_collector_that_is_away_costs_nothing(
    start: Start, span_collector: SpanCollector
) -> None:
    """Callers are served, one line says so, and what was dropped is counted."""
    gateway = await start(max_queued_spans=4)
    await span_collector.__aexit__()

    statuses = [(await ask(gateway)).status for _ in range(5)]
    await gateway.service.stop()

    assert statuses == [200] * 5
    failing = [x for x in gateway.log.lines if x["event"] == "tracing.collector_failing"]
    assert len(failing) == 1
    assert 'gateway_trace_spans_total{outcome="dropped"} 10.0' in gateway.metrics


async def test_a_collector_that_never_answers_holds_nothing_up(
    start: Start, span_collector: SpanCollector
) -> None:
    """Neither callers nor the end, which has its time."""
    gateway = await start(flush_s=0.2)
    span_collector.is_silent = True

    await ask(gateway)
    await span_collector.wait_for_requests(1)
    assert (await ask(gateway)).status == 200
    async with asyncio.timeout(5):
        await gateway.service.stop()

    assert 'gateway_trace_spans_total{outcome="dropped"} 4.0' in gateway.metrics
    assert [x["count"] for x in gateway.log.lines if x["event"] == "tracing.spans_lost"] == [4]
    assert structlog.is_configured()
