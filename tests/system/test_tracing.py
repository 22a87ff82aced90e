"""What spans say of exchanges and their attempts, through the whole gateway.

The rule here: the collector is a real server that decodes what it gets, and what a provider was
shown is read off the provider.
"""

import pytest

from gateway.app import TRACING
from gateway.simulator import Simulator
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.raw_caller import Caller
from tests.plugins.span_collector import SpanCollector
from tests.plugins.traced_gateway import (
    CHAT,
    COLLECTOR_KEY,
    PROMPT,
    V1,
    StartTraced,
    ask,
    request_of,
    split,
)


@pytest.mark.parametrize(
    ("path", "route"), [(V1, V1), (CHAT, "/api/chat/{provider}")], ids=["v1", "chat"]
)
async def test_a_stream_is_an_exchange_and_an_attempt(
    start_traced: StartTraced,
    simulator: Simulator,
    span_collector: SpanCollector,
    path: str,
    route: str,
) -> None:
    """The main job, as whoever looks at traces sees it."""
    gateway = await start_traced()

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


async def test_a_whole_reply_says_the_same(
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """Not everybody streams."""
    gateway = await start_traced()

    heard = await ask(gateway, stream=False)
    _, (attempt,) = split(await span_collector.wait_for_spans(2))

    assert attempt.attributes["gen_ai.request.stream"] is False
    assert "gen_ai.response.time_to_first_chunk" not in attempt.attributes
    assert attempt.attributes["gen_ai.response.id"] == heard.json["id"]
    assert attempt.attributes["gen_ai.response.model"] == heard.json["model"]
    assert attempt.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert (
        attempt.attributes["gen_ai.usage.output_tokens"]
        == (heard.json["usage"]["completion_tokens"])
    )


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_each_attempt_is_a_span_that_the_provider_was_shown(
    start_traced: StartTraced, simulator: Simulator, span_collector: SpanCollector, path: str
) -> None:
    """A provider's own spans hang below the attempt that asked for them, not below its brother."""
    gateway = await start_traced()
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
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """What a caller did wrong is theirs: no error of the gateway's, and yet to be found."""
    gateway = await start_traced()

    heard = await ask(gateway, path="/api/chat/nobody")
    server, attempts = split(await span_collector.wait_for_spans(1))

    assert (heard.status, attempts) == (404, [])
    assert server.attributes["http.response.status_code"] == 404
    assert server.attributes["error.type"] == "provider_not_found"
    assert server.attributes["gateway.outcome"] == "rejected"
    assert not server.is_failed


async def test_a_path_that_is_none_has_no_route(
    start_traced: StartTraced, span_collector: SpanCollector
) -> None:
    """Names of spans are few; a scanner does not make one for each path that it tries."""
    gateway = await start_traced()

    await ask(gateway, path="/wp-admin")
    server, _ = split(await span_collector.wait_for_spans(1))

    assert server.raw.name == "POST"
    assert "http.route" not in server.attributes
    assert server.attributes["url.path"] == "/wp-admin"


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_a_provider_that_fails_in_mid_stream_fails_both(
    start_traced: StartTraced, span_collector: SpanCollector, path: str
) -> None:
    """The status that went out was 200, and all the same it failed."""
    gateway = await start_traced()

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
    start_traced: StartTraced, span_collector: SpanCollector, on_client_gone: str
) -> None:
    """Nobody is woken at night because somebody closed a window."""
    gateway = await start_traced({"on_client_gone": on_client_gone})
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
    start_traced: StartTraced, closed_port: int, span_collector: SpanCollector
) -> None:
    """Nothing was sent, and somebody wants to know why."""
    provider = {"base_url": f"http://127.0.0.1:{closed_port}/v1", "retries": 1}
    gateway = await start_traced(provider)

    await ask(gateway)
    server, attempts = split(await span_collector.wait_for_spans(3))

    assert server.is_failed
    assert [span.attributes["error.type"] for span in attempts] == ["upstream_connect"] * 2
    assert all("http.response.status_code" not in span.attributes for span in attempts)


async def test_no_secret_and_no_prompt_is_in_a_span(
    start_traced: StartTraced, simulator: Simulator, span_collector: SpanCollector
) -> None:
    """Traces leave the machine, and are read by people who need not know."""
    gateway = await start_traced(headers={"authorization": "Bearer ${COLLECTOR_KEY}"})
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
