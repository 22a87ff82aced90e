"""From a settled exchange to the bytes of its spans.

The rule here: messages are made by OpenTelemetry's own classes, but those with values that come
again and again only once: the encodings of two halves of a message, one behind the other, are the
encoding of the whole (Protocol Buffers, "Last One Wins"; lists go on). One exchange takes 40 µs so,
where it would take 60.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from gateway import __version__
from gateway.core.attempts import AttemptRecord
from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.cost import Cost
from gateway.core.exchange import Exchange, Outcome
from gateway.core.trace import AttemptTrace, Trace
from gateway.telemetry.cleaning import Cleaner
from gateway.telemetry.exchange_fields import added_s
from gateway.telemetry.tracing.attributes import WELL_KNOWN
from gateway.wire.redaction import redact

Value = str | int | float | tuple[str, ...]
Pair = tuple[str, Value | None]

MAX_VALUE_CHARS = 256
CACHED_GROUPS = 2_048  # of attributes that come together again and again
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_FAILED = Status(code=Status.STATUS_CODE_ERROR)
_FAILURES = frozenset({Outcome.UPSTREAM_FAILED, Outcome.POLICY_STOPPED, Outcome.LOST})
_NO_HEAD = frozenset({0, 499})  # of the log, for a caller who left before a status was sent
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
# How ids of credentials begin that are not the operator's. Of a model of a caller's own nothing
# else is said: behind it is the number of its row.
_OF_PEOPLE, _OF_MODELS = frozenset({"profile", "tenant"}), "models"
_SAMPLED = 0x01
_PARENT_IS_KNOWN, _PARENT_IS_REMOTE = 0x100, 0x200
_NANOS = 1_000_000_000


class SpanWriter:
    """Makes the spans of exchanges; knows what must not stand in them."""

    def __init__(self, cleaner: Cleaner, clock: Clock = system_clock) -> None:
        self._clean = cleaner.clean
        self._clock = clock
        self._encode_again = lru_cache(maxsize=CACHED_GROUPS)(self._encode)

    def write(self, exchange: Exchange, trace: Trace) -> bytes:
        """The span of an exchange and those of its attempts: part of a `ScopeSpans`."""
        spans = ScopeSpans()
        zero_ns = int((self._clock() - monotonic()) * _NANOS)  # the epoch, on the other clock
        self._add_exchange(spans, exchange, trace, zero_ns)
        for record in exchange.attempt_records:
            if record.trace is not None:
                self._add_attempt(spans, exchange, record, zero_ns)
        encoded: bytes = spans.SerializeToString()
        return encoded

    def _add_exchange(
        self, spans: ScopeSpans, exchange: Exchange, trace: Trace, zero_ns: int
    ) -> None:
        method = exchange.method if exchange.method in _METHODS else "HTTP"
        is_remote = _PARENT_IS_KNOWN | (_PARENT_IS_REMOTE if trace.parent_id else 0)
        span = spans.spans.add(
            trace_id=bytes.fromhex(trace.trace_id),
            span_id=bytes.fromhex(trace.span_id),
            parent_span_id=bytes.fromhex(trace.parent_id),
            trace_state=trace.state,
            flags=_SAMPLED | is_remote,
            name=f"{method} {trace.route}" if trace.route else method,
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=zero_ns + int(exchange.started_at * _NANOS),
            end_time_unix_nano=zero_ns + int(exchange.ended_at * _NANOS),
            status=_FAILED if _has_failed(exchange) else None,
        )
        self._fill(span, exchange, _describe_kind(exchange, trace), _describe_one(exchange))

    def _add_attempt(
        self, spans: ScopeSpans, exchange: Exchange, record: AttemptRecord, zero_ns: int
    ) -> None:
        trace, own = exchange.trace, record.trace
        if trace is None or own is None:
            return
        model = _text(self._clean(record.model))
        span = spans.spans.add(
            trace_id=bytes.fromhex(trace.trace_id),
            span_id=bytes.fromhex(own.span_id),
            parent_span_id=bytes.fromhex(trace.span_id),
            trace_state=trace.state,
            flags=_SAMPLED | _PARENT_IS_KNOWN,
            name=f"chat {_without_secret(model, exchange)}",
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=zero_ns + int(record.started_at * _NANOS),
            end_time_unix_nano=zero_ns + int((record.ended_at or exchange.ended_at) * _NANOS),
            status=_FAILED if record.error_code else None,
        )
        constant = _describe_attempt_kind(exchange, record, own)
        once = _describe_attempt(record, own, is_stream=exchange.stream)
        self._fill(span, exchange, constant, once)

    def _fill(
        self, span: Span, exchange: Exchange, again: Iterable[Pair], once: Iterable[Pair]
    ) -> None:
        """Add the attributes: those that other spans will have too, and those of this one."""
        known, own = _present(again), _present(once)
        if exchange.credential_secret is not None:
            # Callers' own credentials are not among those that the cleaner knows.
            known, own = _mask(known, exchange), _mask(own, exchange)
        span.MergeFromString(self._encode_again(known))
        self._add(span, own)

    def _encode(self, pairs: tuple[tuple[str, Value], ...]) -> bytes:
        """The attributes as part of a `Span`."""
        span = Span()
        self._add(span, pairs)
        encoded: bytes = span.SerializeToString()
        return encoded

    def _add(self, span: Span, pairs: tuple[tuple[str, Value], ...]) -> None:
        add = span.attributes.add
        for name, value in pairs:
            into = add(key=name).value
            if isinstance(value, str):
                into.string_value = _text(self._clean(value))
            elif isinstance(value, bool):
                into.bool_value = value
            elif isinstance(value, int):
                into.int_value = value
            elif isinstance(value, float):
                into.double_value = value
            else:
                words = [AnyValue(string_value=_text(self._clean(word))) for word in value]
                into.array_value.CopyFrom(ArrayValue(values=words))


class Envelope:
    """What stands around the spans of one process; puts them into one message.

    Parsing 500 spans to put them into a message would take the loop for milliseconds.
    """

    def __init__(self, resource: Mapping[str, str | int]) -> None:
        attributes = [KeyValue(key=name, value=_value_of(at)) for name, at in resource.items()]
        self._resource: bytes = ResourceSpans(
            resource=Resource(attributes=attributes)
        ).SerializeToString()
        scope = InstrumentationScope(name="gateway", version=__version__)
        self._scope: bytes = ScopeSpans(scope=scope).SerializeToString()

    def put_around(self, written: Iterable[bytes]) -> bytes:
        """An `ExportTraceServiceRequest` with what `SpanWriter.write` has given."""
        spans = b"".join((self._scope, *written))
        # `scope_spans` is the second field of one message, `resource_spans` the first of the other.
        inner = self._resource + b"\x12" + _encode_length(len(spans)) + spans
        return b"\x0a" + _encode_length(len(inner)) + inner


def count_refused(answer: bytes) -> int:
    """How many spans a collector's answer says it did not take, though it took the others."""
    try:
        answered = ExportTraceServiceResponse.FromString(answer)
    except DecodeError:
        return 0  # it has said 200
    refused: int = answered.partial_success.rejected_spans
    return max(refused, 0)


def _encode_length(length: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the highest bit set."""
    encoded = bytearray()
    while length > 0x7F:  # noqa: PLR2004 - the seven bits
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def _has_failed(exchange: Exchange) -> bool:
    """Whether it is an error of this side: an answer of 4xx is none, whoever it was that refused.

    (Semantic conventions for HTTP. Where that was the provider, its attempt is one.)
    """
    status = exchange.status
    if status >= _CLIENT_ERROR and status not in _NO_HEAD:
        return status >= _SERVER_ERROR
    return exchange.outcome in _FAILURES


def _describe_kind(exchange: Exchange, trace: Trace) -> tuple[Pair, ...]:
    is_known = exchange.method in _METHODS
    return (
        ("http.request.method", exchange.method if is_known else "_OTHER"),
        ("http.route", trace.route),
        ("url.path", exchange.path),
        ("url.scheme", "http"),
        ("client.address", exchange.client_address),
        ("http.response.status_code", exchange.status if exchange.status not in _NO_HEAD else None),
        ("error.type", exchange.error_code),
        ("gateway.outcome", str(exchange.outcome)),
        ("gateway.dialect", str(exchange.dialect)),
        ("gateway.provider", exchange.provider),
        ("gateway.attempts", exchange.attempts),
        ("gateway.refused_by", exchange.refused_by),
    )


def _describe_one(exchange: Exchange) -> tuple[Pair, ...]:
    return (
        ("gateway.request_id", exchange.request_id),
        ("http.request.body.size", exchange.bytes_in),
        ("http.response.body.size", exchange.bytes_out),
        ("gateway.added_s", added_s(exchange)),
        ("gateway.cost_micros", exchange.spent_micros),
    )


def _describe_attempt_kind(
    exchange: Exchange, record: AttemptRecord, own: AttemptTrace
) -> tuple[Pair, ...]:
    return (
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", WELL_KNOWN.get(record.provider, record.provider)),
        ("gen_ai.request.model", record.model),
        ("gen_ai.request.stream", exchange.stream),
        ("gen_ai.response.model", own.answered.model),
        ("gen_ai.response.finish_reasons", own.answered.finish_reasons),
        ("server.address", own.host),
        ("server.port", own.port),
        ("http.response.status_code", record.status or None),
        ("http.request.resend_count", record.number - 1 or None),
        ("error.type", record.error_code),
        ("gateway.outcome", _outcome_of(exchange, record)),
        ("gateway.provider", record.provider),
        ("gateway.attempt", record.number),
        ("gateway.credential_id", _nobodys(record.credential_id)),
        ("gateway.tokens_source", None if record.usage is None else record.usage.source),
    )


def _describe_attempt(
    record: AttemptRecord, own: AttemptTrace, *, is_stream: bool
) -> tuple[Pair, ...]:
    usage = record.usage
    has_first = is_stream and own.first_content_at
    first_s = own.first_content_at - own.sent_at if has_first else None
    about: tuple[Pair, ...] = (
        ("gen_ai.response.id", own.answered.id),
        ("gen_ai.response.time_to_first_chunk", first_s),
        ("gateway.upstream_request_id", record.upstream_request_id),
    )
    if usage is None:
        return about
    return (
        *about,
        ("gen_ai.usage.input_tokens", usage.tokens_in),
        ("gen_ai.usage.output_tokens", usage.tokens_out),
        ("gen_ai.usage.cache_read.input_tokens", usage.tokens_cached),
        ("gen_ai.usage.reasoning.output_tokens", usage.tokens_reasoning),
        ("gateway.cost_micros", _micros_of(usage.provider_cost_micros, record.cost)),
    )


def _micros_of(charged: int | None, cost: Cost | None) -> int | None:
    """The provider's word before ours."""
    if charged is None and cost is not None:
        return cost.micros
    return charged


def _nobodys(credential_id: str) -> str:
    """What a credential is called, without the name of the caller or tenant whose it is."""
    sort, _, rest = credential_id.partition(":")
    if sort in _OF_PEOPLE:
        return f"{sort}/{rest.rpartition('/')[2]}"
    return sort if sort == _OF_MODELS else credential_id


def _outcome_of(exchange: Exchange, record: AttemptRecord) -> str:
    """An attempt without an error of its own ended as its exchange did."""
    if not record.error_code:
        return str(exchange.outcome)
    return str(Outcome.UPSTREAM_FAILED if record.is_providers_fault else Outcome.POLICY_STOPPED)


def _present(pairs: Iterable[Pair]) -> tuple[tuple[str, Value], ...]:
    """Those that say something; a number of nothing does."""
    return tuple(
        [(name, value) for name, value in pairs if value is not None and value not in ("", ())]
    )


def _mask(
    pairs: tuple[tuple[str, Value], ...], exchange: Exchange
) -> tuple[tuple[str, Value], ...]:
    return tuple(
        (name, _without_secret(value, exchange) if isinstance(value, str) else value)
        if not isinstance(value, tuple)
        else (name, tuple(_without_secret(word, exchange) for word in value))
        for name, value in pairs
    )


def _without_secret(text: str, exchange: Exchange) -> str:
    if exchange.credential_secret is None:
        return text
    return redact(text, (exchange.credential_secret.get_secret_value(),))


def _text(cleaned: object) -> str:
    return str(cleaned)[:MAX_VALUE_CHARS]


def _value_of(value: str | int) -> AnyValue:
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
