"""The bytes of spans, read back by OpenTelemetry's own classes."""

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from pydantic import SecretStr

from gateway.config.tracing import TracingSpec
from gateway.core.attempts import AttemptRecord
from gateway.core.exchange import Exchange, Outcome
from gateway.core.trace import Answered, AttemptTrace
from gateway.core.usage import Usage
from gateway.telemetry.cleaning import Cleaner
from gateway.telemetry.tracing.spans import MAX_VALUE_CHARS, Envelope, SpanWriter, count_refused
from gateway.telemetry.tracing.tracer import Tracer
from tests.plugins.span_collector import Seen, read_spans

SECRET = "gsk_CanaryCanaryCanaryCanary0002"
NOTHING = Answered()
OWN_SECRET = "own-canary-credential-000000003"
ENVELOPE = Envelope({"service.name": "chat", "process.pid": 7})


def exchange_of(answered: Answered = NOTHING, **fields: Any) -> Exchange:
    """A settled exchange with one attempt."""
    exchange = Exchange("r1", 10.0, "POST", "/v1/chat/completions", "10.0.0.1", ())
    exchange.trace = Tracer(TracingSpec()).begin((), route="/v1/chat/completions")
    record = AttemptRecord(1, "xai", "grok", "XAI_API_KEY", 10.001, ended_at=11.0, status=200)
    record.trace = AttemptTrace(exchange.trace.attempt_id, "api.x.ai", 443, 10.002, 10.5, answered)
    record.usage = Usage(3, 5, "provider", 0, 2, 70)
    exchange.note_attempt(record)
    exchange.status, exchange.outcome, exchange.ended_at = 200, Outcome.FINISHED, 11.5
    exchange.stream = True
    for name, value in fields.items():
        setattr(exchange, name, value)
    return exchange


def seen(*exchanges: Exchange, writer: SpanWriter | None = None) -> list[Seen]:
    """The spans of exchanges, as a collector sees them."""
    writer = writer or SpanWriter(Cleaner([SECRET]))
    return read_spans(
        ENVELOPE.put_around([writer.write(one, one.trace) for one in exchanges if one.trace])
    )


def test_times_are_those_of_the_clock_on_the_wall() -> None:
    """And as long as they were."""
    server, attempt = seen(exchange_of())

    assert server.raw.end_time_unix_nano - server.raw.start_time_unix_nano == 1_500_000_000
    late = attempt.raw.start_time_unix_nano - server.raw.start_time_unix_nano
    assert abs(late - 1_000_000) < 1000
    assert abs(attempt.attributes["gen_ai.response.time_to_first_chunk"] - 0.498) < 1e-6


def test_many_exchanges_are_one_message() -> None:
    """Each with its own, whatever was remembered of the ones before."""
    writer = SpanWriter(Cleaner())
    exchanges = [exchange_of(request_id=f"r{number}") for number in range(300)]

    spans = seen(*exchanges, writer=writer)

    assert len(spans) == 600
    assert [s.attributes["gateway.request_id"] for s in spans if s.is_server] == [
        f"r{number}" for number in range(300)
    ]
    assert spans[0].resource == {"service.name": "chat", "process.pid": 7}


@pytest.mark.parametrize(
    ("credential_id", "expected"),
    [
        ("XAI_API_KEY", "XAI_API_KEY"),
        ("file:/run/secrets/xai", "file:/run/secrets/xai"),
        ("profile:alice@example.org/xai_api_key", "profile/xai_api_key"),
        ("profile:a/b/c/xai_api_key", "profile/xai_api_key"),
        ("tenant:acme/xai_api_key", "tenant/xai_api_key"),
        ("models:6f1e", "models"),
    ],
)
def test_nobody_is_named(credential_id: str, expected: str) -> None:
    """Traces go to more people than the log; whose a credential is, is in the log."""
    exchange = exchange_of()
    exchange.attempt_records[0].credential_id = credential_id

    _, attempt = seen(exchange)

    assert attempt.attributes["gateway.credential_id"] == expected


def test_numbers_are_what_the_log_has() -> None:
    """Tokens, money and who counted them."""
    _, attempt = seen(exchange_of())

    expected = {
        "gen_ai.provider.name": "x_ai",
        "gateway.provider": "xai",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "gateway.cost_micros": 70,
        "gateway.tokens_source": "provider",
        "server.address": "api.x.ai",
        "server.port": 443,
    }
    assert {name: attempt.attributes.get(name) for name in expected} == expected


def test_an_attempt_that_failed_says_so_and_not_its_exchange() -> None:
    """What another attempt has made good is no failure of the exchange."""
    exchange = exchange_of()
    exchange.attempt_records[0].error_code = "upstream_stall"
    exchange.attempt_records[0].is_providers_fault = True

    server, attempt = seen(exchange)

    assert (server.is_failed, attempt.is_failed) == (False, True)
    assert attempt.attributes["error.type"] == "upstream_stall"
    assert attempt.attributes["gateway.outcome"] == "upstream_failed"


@pytest.mark.parametrize(
    ("status", "outcome", "is_failed"),
    [
        (200, Outcome.FINISHED, False),
        (200, Outcome.UPSTREAM_FAILED, True),  # under way
        (200, Outcome.POLICY_STOPPED, True),
        (200, Outcome.CLIENT_GONE, False),
        (404, Outcome.UPSTREAM_FAILED, False),  # such a model is not there
        (402, Outcome.POLICY_STOPPED, False),  # its budget ran out before the first byte
        (429, Outcome.REJECTED, False),
        (499, Outcome.CLIENT_GONE, False),
        (499, Outcome.POLICY_STOPPED, True),  # a middleware cancelled it
        (502, Outcome.UPSTREAM_FAILED, True),
        (503, Outcome.REJECTED, True),
    ],
)
def test_an_exchange_is_an_error_where_it_is_one_of_this_side(
    status: int, outcome: Outcome, *, is_failed: bool
) -> None:
    """Semantic conventions for HTTP: a server's 4xx is none; what broke off under a 200 is."""
    server, _ = seen(exchange_of(status=status, outcome=outcome))

    assert server.is_failed == is_failed


@pytest.mark.parametrize("status", [0, 499])
def test_a_status_that_never_left_is_not_told(status: int) -> None:
    """These are numbers of the log's own."""
    server, _ = seen(exchange_of(status=status, outcome=Outcome.CLIENT_GONE))

    assert "http.response.status_code" not in server.attributes
    assert not server.is_failed


def test_a_method_that_is_none_makes_no_name() -> None:
    """Anybody can send one that nobody has sent before."""
    exchange = exchange_of(method="X" * 20)
    assert exchange.trace is not None
    exchange.trace.route = ""

    server, _ = seen(exchange)

    assert server.raw.name == "HTTP"
    assert server.attributes["http.request.method"] == "_OTHER"


def test_what_others_write_is_cut_and_masked() -> None:
    """Callers and providers choose these, and could put anything there."""
    long = Answered("m" * 1000, f"id {SECRET}", (f"stop {SECRET}", "x" * 1000))
    exchange = exchange_of(long, path=f"/{SECRET}")
    exchange.attempt_records[0].model = f"model {SECRET} " + "x" * 1000

    spans = seen(exchange)

    assert SECRET not in str(spans)
    for span in spans:
        assert len(span.raw.name) <= MAX_VALUE_CHARS + 10
        texts = [value for value in span.attributes.values() if isinstance(value, str)]
        texts += span.attributes.get("gen_ai.response.finish_reasons", [])
        assert max(map(len, texts)) <= MAX_VALUE_CHARS


def test_a_callers_own_credential_is_masked() -> None:
    """The gateway knows it only while it is in use."""
    answered = Answered(f"m {OWN_SECRET}", f"i {OWN_SECRET}", (OWN_SECRET,))
    exchange = exchange_of(answered, credential_secret=SecretStr(OWN_SECRET), path=f"/{OWN_SECRET}")
    exchange.attempt_records[0].model = OWN_SECRET
    exchange.attempt_records[0].upstream_request_id = OWN_SECRET

    assert OWN_SECRET not in str(seen(exchange))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_the_envelope_fits_any_length(size: int) -> None:
    """Its lengths are the only bytes that are ours."""
    exchange = exchange_of(path="/" + "p" * 10)
    server = seen(exchange, writer=SpanWriter(Cleaner()))[0]
    writer = SpanWriter(Cleaner())
    assert exchange.trace is not None
    written = [writer.write(exchange, exchange.trace)] * (size // 500)

    spans = read_spans(ENVELOPE.put_around(written))

    assert len(spans) == 2 * (size // 500)
    assert all(span.trace_id == server.trace_id for span in spans)


def test_what_a_collector_refuses_is_counted() -> None:
    """It says so in an answer of 200, and may say nonsense."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3

    assert count_refused(answer.SerializeToString()) == 3
    assert count_refused(b"") == 0
    assert count_refused(b"<html>") == 0
