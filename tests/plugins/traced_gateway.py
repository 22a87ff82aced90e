"""A gateway whose spans a collector is told of at once, and what is asked of it.

The rule here: whatever is sent to the collector is held against the list of attributes.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

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

StartTraced = Callable[..., Awaitable[Gateway]]


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
def start_traced(
    start_gateway: StartGateway, simulator: Simulator, span_collector: SpanCollector
) -> StartTraced:
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
