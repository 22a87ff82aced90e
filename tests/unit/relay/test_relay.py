"""The relay between a raw caller and a simulated provider: what a good exchange looks like."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.exchange import Outcome
from gateway.core.usage import Usage
from gateway.simulator import PRESETS, Simulator
from tests.plugins.raw_caller import LAST_CHUNK, Caller, Heard, request_bytes

WANTS_USAGE = {"stream_options": {"include_usage": True}}
OpenGateway = Callable[..., Awaitable[Any]]

# Streams that end well, each in a shape that some provider sends.
WHOLE = [
    "plain",
    "openai-usage",
    "openai-moderation",
    "groq-2025",
    "groq-2026",
    "groq-tool-call",
    "openrouter",
    "openrouter-2026-03",
    "deepseek",
    "mistral-content-parts",
    "mistral-tool-call",
    "xai",
    "perplexity",
    "together",
    "snowflake",
    "azure-prelude",
    "bedrock",
    "llamacpp",
    "moonshot",
    "bytes",
    "one-write",
    "utf8",
    "crlf",
    "cr",
    "trailing-spaces",
    "no-space",
    "two-choices",
    "no-done",
    "two-dones",
    "no-finish",
    "until-eof",
    "early-hints",
    "drop",
    "after-end",
    "empty-events",
    "comment-flood",
    "invalid-utf8",
    "invalid-json",
]
NOT_TEXT = {"invalid-utf8", "invalid-json"}


def chat_body(model: str) -> dict[str, Any]:
    """A body of the chat front end."""
    return {"chatSettings": {"model": model}, "messages": [{"role": "user", "content": "Hi"}]}


def v1_body(directive: object, **fields: object) -> dict[str, Any]:
    """A body in the OpenAI dialect with a directive for the simulator."""
    usual = {"model": "sim/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    return {**usual, "simulate": directive, **fields}


def text_of(stream: bytes) -> str:
    """The text that a provider's events hold, read without any code of ours."""
    lines = [line.partition(b":")[2].strip() for line in stream.splitlines()]
    texts: list[str] = []
    for line in lines:
        if not line.startswith(b"{"):
            continue
        for choice in json.loads(line).get("choices", ())[:1]:
            content = choice["delta"].get("content") or ""
            parts = content if isinstance(content, list) else [{"text": content}]
            texts += [part.get("text", "") for part in parts]
    return "".join(texts).lstrip()


@pytest.mark.parametrize("preset", WHOLE)
async def test_what_the_provider_sent_arrives_byte_for_byte(
    gateway: Any, simulator: Simulator, preset: str
) -> None:
    """The first promise of the gateway."""
    heard = await gateway.ask(preset, **WANTS_USAGE)

    assert (heard.status, heard.body) == (200, simulator.journal.last.body_sent)
    assert heard.is_whole
    exchange = await gateway.wait_settled()
    assert (exchange.outcome, exchange.attempts, exchange.error_code) == (Outcome.FINISHED, 1, "")
    assert exchange.bytes_out == len(heard.body)


@pytest.mark.parametrize("preset", [name for name in WHOLE if name not in NOT_TEXT])
async def test_the_chat_front_end_gets_the_text_alone(
    gateway: Any, simulator: Simulator, preset: str
) -> None:
    """In the same shapes, as chunks of raw UTF-8."""
    heard = await gateway.chat(preset)

    assert heard.status == 200
    assert heard.is_whole
    assert "content-type: text/plain; charset=utf-8" in heard.head
    assert "x-experimental-stream-data: false" in heard.head
    if preset not in {"azure-prelude", "llamacpp", "two-choices"}:
        assert heard.body.decode() == text_of(simulator.journal.last.body_sent)
    assert all(chunk.decode() for chunk in heard.chunks)


async def test_usage_is_always_asked_for_and_passed_on_to_those_who_asked(
    gateway: Any, simulator: Simulator
) -> None:
    """The ledger needs it whether the caller does or not."""
    without = await gateway.ask("openai-usage")
    exchange = await gateway.wait_settled()

    assert json.loads(simulator.journal.last.body)["stream_options"] == {"include_usage": True}
    assert b'"choices":[],"usage":{' in simulator.journal.last.body_sent
    assert b'"usage":{' not in without.body
    assert without.body.endswith(b"data: [DONE]\n\n")
    assert exchange.usage is not None
    assert exchange.usage.source == "provider"


async def test_a_reply_that_is_not_streamed_is_the_providers_own(
    gateway: Any, simulator: Simulator
) -> None:
    """Its bytes, its length, our content type."""
    heard = await gateway.ask("deepseek-blank-lines", stream=False)

    assert heard.body == simulator.journal.last.body_sent
    assert heard.body.startswith(b"\n")
    assert f"content-length: {len(heard.body)}" in heard.head
    assert "content-type: application/json" in heard.head
    exchange = await gateway.wait_settled()
    assert isinstance(exchange.usage, Usage)


async def test_a_large_reply_arrives_whole(gateway: Any, simulator: Simulator) -> None:
    """Larger than any buffer on the way."""
    heard = await gateway.ask({"json_bytes": 3_000_000, "answer": "json"}, stream=False)

    assert heard.body == simulator.journal.last.body_sent
    assert len(heard.body) == 3_000_000


@pytest.mark.parametrize("stream", [True, False])
async def test_a_compressed_answer_is_read(gateway: Any, *, stream: bool) -> None:
    """Asked for or not, the caller gets what they can read."""
    heard = await gateway.ask("gzip", stream=stream)

    assert heard.status == 200
    assert "content-encoding" not in heard.head
    assert heard.body.startswith(b"data: " if stream else b"{")


async def test_a_stream_of_twenty_mebibytes_in_one_line_flows_through(
    gateway: Any, simulator: Simulator
) -> None:
    """Relayed in pieces, never held (fault G06)."""
    heard = await gateway.ask("giant-line", **WANTS_USAGE)

    assert heard.body == simulator.journal.last.body_sent
    assert heard.is_whole


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/sim"])
async def test_an_http_1_0_caller_gets_the_same_bytes_unframed(
    gateway: Any, simulator: Simulator, path: str
) -> None:
    """nginx's `proxy_pass` speaks it by default."""  # noqa: D403 - a name
    simulator.script("plain")
    async with Caller(gateway.port) as caller:
        body = v1_body("plain", **WANTS_USAGE) if path.startswith("/v1") else chat_body("plain")
        await caller.send(request_bytes(path, body, version="1.0"))
        heard = await caller.read_to_end()

    assert (heard.status, heard.is_chunked, heard.was_reset) == (200, False, False)
    sent = simulator.journal.last.body_sent
    assert heard.body == (sent if path.startswith("/v1") else text_of(sent).encode())


async def test_one_connection_carries_one_answer_after_another(
    gateway: Any, simulator: Simulator
) -> None:
    """Keep-alive on both sides; nothing of one answer in the next."""
    async with Caller(gateway.port) as caller:
        for number in range(3):
            body = v1_body({"text": f"answer {number}", "usage": "none"})
            await caller.send(request_bytes("/v1/chat/completions", body))
            heard = Heard(await caller.read_until(LAST_CHUNK))
            assert heard.body == simulator.journal.last.body_sent

    assert {served.connection_number for served in simulator.journal} == {1}


async def test_pipelined_requests_are_answered_in_order(gateway: Any, simulator: Simulator) -> None:
    """Two requests in one write are two answers, each whole."""
    requests = [
        request_bytes("/v1/chat/completions", v1_body({"text": word, "usage": "none"}))
        for word in ("first", "second", "third")
    ]
    async with Caller(gateway.port) as caller:
        await caller.send(b"".join(requests))
        bodies = [Heard(await caller.read_until(LAST_CHUNK)).body for _ in requests]

    assert bodies == [served.body_sent for served in simulator.journal]
    assert [b"first" in bodies[0], b"second" in bodies[1], b"third" in bodies[2]] == [True] * 3


async def test_many_at_once_each_get_their_own(gateway: Any) -> None:
    """Fifty streams through one pool."""

    async def one(number: int) -> None:
        heard = await gateway.ask({"text": f"answer number {number}", "usage": "none"})
        words = [e["choices"][0]["delta"].get("content", "") for e in events_of(heard.body)]
        assert "".join(words) == f"answer number {number}"
        assert heard.is_whole

    await asyncio.gather(*(one(number) for number in range(50)))
    await gateway.wait_settled(50)

    assert gateway.relay.attempts_in_flight == 0
    assert gateway.pool.open_connections == gateway.pool.idle_connections


def events_of(stream: bytes) -> list[Any]:
    """The JSON events of a stream."""
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


async def test_the_head_waits_for_the_first_content(gateway: Any, simulator: Simulator) -> None:
    """Until then a failure can still be told properly."""
    body = v1_body({"comments": {"before": 3}, "stall": {"at": "after_tokens", "for_s": 0.05}})
    async with Caller(gateway.port) as caller:
        await caller.send(request_bytes("/v1/chat/completions", body))
        await simulator.journal.wait_for(lambda served: served.writes_sent >= 3)
        assert caller.read_now() == b""
        first = await caller.read_until(b"\r\n\r\n")
        rest = Heard(first + await caller.read_until(LAST_CHUNK))

    assert rest.status == 200
    assert rest.body.startswith(b": OPENROUTER PROCESSING\n\n" * 3)


async def test_the_head_leaves_in_time_and_comments_fill_the_silence(
    open_gateway: OpenGateway,
) -> None:
    """A provider that thinks for a minute, and proxies that give up sooner."""
    gateway = await open_gateway(
        settings={"commit": {"v1_max_wait_s": 0.02, "keep_alive_comment_s": 0.02}}
    )
    async with Caller(gateway.port) as caller:
        body = v1_body({"stall": {"at": "before_head"}})
        await caller.send(request_bytes("/v1/chat/completions", body))
        head = await caller.read_until(b"\r\n\r\n")
        await caller.read_until(b": keep-alive\n\n")
        await caller.read_until(b": keep-alive\n\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"text/event-stream" in head


async def test_content_that_flows_is_not_interrupted_by_comments(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """They are for silence; anywhere else they are bytes that nobody sent."""
    gateway = await open_gateway(
        settings={"commit": {"v1_max_wait_s": 0.05, "keep_alive_comment_s": 0.1}}
    )

    heard = await gateway.ask({"count": 60, "gap_s": 0.005, "usage": "none"})

    assert heard.body == simulator.journal.last.body_sent


async def test_the_head_of_a_chat_leaves_in_time_without_text(open_gateway: OpenGateway) -> None:
    """nginx gives up after 60 s without a head."""  # noqa: D403 - a name
    gateway = await open_gateway(settings={"commit": {"chat_max_wait_s": 0.02}})
    async with Caller(gateway.port) as caller:
        await caller.send(request_bytes("/api/chat/sim", chat_body("stall-before-head")))
        head = await caller.read_until(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"text/plain" in head


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/sim"])
async def test_content_behind_an_early_head_is_the_first_all_the_same(
    open_gateway: OpenGateway, simulator: Simulator, path: str
) -> None:
    """How long the first word took is not to be missing where it took long."""
    gateway = await open_gateway(
        settings={"commit": {"v1_max_wait_s": 0.02, "chat_max_wait_s": 0.02}}
    )
    stall = {"at": "after_tokens", "for_s": 0.08}
    script = {"count": 5, "gap_s": 0.002, "usage": "none", "comments": {"before": 2}}
    simulator.script({**script, "stall": stall})

    heard = await gateway.ask(None, path)
    exchange = await gateway.wait_settled()

    sent = simulator.journal.last.body_sent
    assert heard.body == (sent if path.startswith("/v1") else text_of(sent).encode())
    assert heard.is_whole
    assert exchange.first_relayed_at < exchange.first_content_at < exchange.upstream_ended_at


async def test_the_longest_silence_within_an_answer_is_on_record(
    gateway: Any, simulator: Simulator
) -> None:
    """It is what a reader of the answer has felt."""
    stall = {"at": "after_tokens", "after_tokens": 6, "for_s": 0.1}
    simulator.script({"count": 12, "gap_s": 0.002, "usage": "none", "stall": stall})

    await gateway.ask(None)
    exchange = await gateway.wait_settled()

    assert 0.09 < exchange.longest_gap_s < exchange.ended_at - exchange.first_content_at


async def test_headers_of_the_list_come_back_with_a_stream(gateway: Any) -> None:
    """Rate limits and the provider's request id, nothing else."""
    directive = {
        "http": {"headers": [["x-request-id", "up-1"], ["set-cookie", "a=b"], ["server", "s"]]}
    }

    heard = await gateway.ask(directive)
    exchange = await gateway.wait_settled()

    assert "x-upstream-request-id: up-1" in heard.head
    assert "set-cookie" not in heard.head
    assert exchange.upstream_request_id == "up-1"


async def test_times_are_noted_in_their_order(gateway: Any) -> None:
    """What we added is the difference of two of them."""
    await gateway.ask({"count": 3, "ttft_s": 0.01})
    exchange = await gateway.wait_settled()

    times = [
        exchange.started_at,
        exchange.upstream_started_at,
        exchange.upstream_headed_at,
        exchange.first_content_at,
        exchange.first_relayed_at,
        exchange.upstream_ended_at,
        exchange.ended_at,
    ]
    assert times == sorted(times)
    assert all(times)


async def test_one_chunk_is_timed_where_it_is_asked_for(gateway: Any, simulator: Simulator) -> None:
    """The next one, once; what the caller gets is the same."""
    noted: list[float] = []
    gateway.relay.time_next_chunk(noted.append)  # nothing flows: nothing is asked of anybody
    async with Caller(gateway.port) as caller:
        body = v1_body({"count": 20, "gap_s": 0.005, "usage": "none"})
        await caller.send(request_bytes("/v1/chat/completions", body))
        begun = b"".join([await caller.read_until(b"\n\n") for _ in range(4)])
        gateway.relay.time_next_chunk(noted.append)
        heard = Heard(begun + await caller.read_until(LAST_CHUNK))

    assert heard.body == simulator.journal.last.body_sent
    assert len(noted) == 1
    assert 0 < noted[0] < 5


async def test_a_provider_at_its_cap_is_busy_at_once(open_gateway: OpenGateway) -> None:
    """503 with `Retry-After`, and no queue."""
    gateway = await open_gateway(max_connections=1)
    async with Caller(gateway.port) as caller:
        body = v1_body({"stall": {"after_tokens": 1}})
        await caller.send(request_bytes("/v1/chat/completions", body))
        await caller.read_until(b"\r\n\r\n")

        heard = await gateway.ask("plain")

    assert (heard.status, heard.json["code"]) == (503, "provider_busy")
    assert "retry-after: " in heard.head


def test_every_preset_named_here_exists() -> None:
    """A renamed preset would be read as a model's name, and pass."""
    assert set(WHOLE) <= set(PRESETS)


async def test_opening_a_connection_is_a_wait_and_taking_one_is_none(gateway: Any) -> None:
    """A handshake with a far provider is no time of the gateway's."""
    for _ in range(2):
        assert (await gateway.ask("plain")).status == 200
    first, second = [await gateway.wait_settled(count) for count in (1, 2)]

    assert 0 < first.waited_s < first.upstream_started_at - first.started_at
    assert second.waited_s == 0
