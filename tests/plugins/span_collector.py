"""A collector of OpenTelemetry's: a real server that takes OTLP over HTTP and decodes it.

The rule here: it answers as the test says, and keeps what it was sent whatever it answered.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TIMEOUT_S = 10


@dataclass
class Seen:
    """One span, as whoever looks at it sees it."""

    raw: Span
    resource: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def id(self) -> str:
        """In hexadecimal digits."""
        return self.raw.span_id.hex()

    @property
    def parent(self) -> str:
        """The id of the span it is part of."""
        return self.raw.parent_span_id.hex()

    @property
    def trace_id(self) -> str:
        """In hexadecimal digits."""
        return self.raw.trace_id.hex()

    @property
    def is_server(self) -> bool:
        """Whether it is that of an exchange."""
        return self.raw.kind == Span.SPAN_KIND_SERVER

    @property
    def is_failed(self) -> bool:
        """Whether it is marked as an error."""
        return self.raw.status.code == Status.STATUS_CODE_ERROR


@dataclass
class SpanCollector:
    """Listens on a port of its own while it is entered."""

    port: int = 0
    spans: list[Seen] = field(default_factory=list)
    requests: list[web.BaseRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    # What the next requests are answered with; then 200.
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    rejects: int = 0  # spans that it says it did not take
    is_silent: bool = False  # takes requests and does not answer
    in_pieces: bool = False  # sends the body of an answer byte by byte
    is_slow: bool = False  # answers one request each time that it is told that it may
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    tls: ssl.SSLContext | None = None
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._take), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """What a configuration says of it."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def wait_for_spans(self, count: int) -> list[Seen]:
        """All spans, once there are that many."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.spans) < count:
                self._news.clear()
                await self._news.wait()
        return self.spans

    async def wait_for_requests(self, count: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.requests) < count:
                self._news.clear()
                await self._news.wait()

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200 and not self.is_silent:
            self.spans += read_spans(body)
        self.bodies.append(body)
        self.requests.append(request)
        self._news.set()
        if self.is_silent:
            await asyncio.Event().wait()
        if self.is_slow:
            await self.may_answer.wait()
            self.may_answer.clear()
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.rejects
        body = answer.SerializeToString()
        if not self.in_pieces:
            return web.Response(status=status, body=body, headers=self.headers)
        response = web.StreamResponse(status=status, headers=self.headers)
        await response.prepare(request)
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(0)
        return response


def read_spans(body: bytes) -> list[Seen]:
    """The spans in an export request."""
    seen = []
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {pair.key: _plain(pair.value) for pair in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            assert of_scope.scope.name == "gateway"
            for span in of_scope.spans:
                names = [pair.key for pair in span.attributes]
                assert len(names) == len(set(names)), names
                attributes = {pair.key: _plain(pair.value) for pair in span.attributes}
                seen.append(Seen(span, resource, attributes))
    return seen


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    return getattr(value, kind or "string_value")


@pytest.fixture
async def span_collector() -> AsyncIterator[SpanCollector]:
    """A collector on a free port."""
    async with SpanCollector() as collector:
        yield collector
