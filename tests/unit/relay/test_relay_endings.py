"""How an exchange ends that does not end well: as a failure, in the caller's dialect, once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.exchange import Outcome
from gateway.simulator import PRESETS, Simulator
from tests.plugins.raw_caller import Caller, Heard, request_bytes
from tests.plugins.raw_provider import RawProvider, answer_with

OpenGateway = Callable[..., Awaitable[Any]]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

# Streams that fail after their first content, and what the log says of them.
BROKEN = {
    "cut": "upstream_cut",
    "cut-in-event": "upstream_cut",
    "cut-after-finish": "upstream_cut",
    "cut-last-chunk": "upstream_cut",
    "cut-until-eof": "upstream_truncated",
    "stall": "upstream_idle_timeout",
    "stall-in-event": "upstream_idle_timeout",
    "stall-comments": "upstream_idle_timeout",
    "groq-error": "upstream_error_in_stream",
    "openrouter-error": "upstream_error_in_stream",
    "openrouter-error-documented": "upstream_error_in_stream",
    "openrouter-error-after-finish": "upstream_error_in_stream",
    "openai-stream-error": "upstream_error_in_stream",
    "ollama-error": "upstream_truncated",
}


def one_attempt(directive: object = None) -> dict[str, Any]:
    """A provider without retries; quick deadlines where silence is what fails."""
    if "stall" not in str(directive):
        return {"retries": 0}
    # The one deadline that is to be missed: a busy machine is late for any that is as short.
    missed = "idle_s" if str(directive) in BROKEN else "first_content_s"
    return {"retries": 0, "timeouts": {missed: 0.1}}


def slowly(preset: str) -> dict[str, Any]:
    """A preset whose first content comes alone, before what breaks it."""
    return {"preset": preset, "gap_s": 0.005}


def events_of(stream: bytes) -> list[Any]:
    """The JSON events of a stream."""
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("preset", "code"), BROKEN.items())
async def test_a_broken_stream_ends_as_a_failure_for_an_sdk(
    open_gateway: OpenGateway, simulator: Simulator, preset: str, code: str
) -> None:
    """An error event, no `[DONE]`, no last chunk: no client can take it for the answer."""
    gateway = await open_gateway(**one_attempt(preset))

    heard = await gateway.ask(slowly(preset))
    exchange = await gateway.wait_settled()

    assert heard.status == 200
    assert not heard.is_whole
    assert b"[DONE]" not in heard.body
    assert events_of(heard.body)[-1]["error"]
    assert sum("error" in event for event in events_of(heard.body)) == 1
    assert (exchange.outcome, exchange.error_code) == (Outcome.UPSTREAM_FAILED, code)
    assert exchange.error_detail  # the code alone does not tell an operator what happened
    assert exchange.attempts == simulator.journal.count == 1


@pytest.mark.parametrize("preset", BROKEN)
@pytest.mark.parametrize("policy", ["cut", "notice"])
async def test_a_broken_answer_is_cut_for_the_chat_front_end(
    open_gateway: OpenGateway, simulator: Simulator, preset: str, policy: str
) -> None:
    """Text so far, a line where the operator wants one, and no last chunk."""
    gateway = await open_gateway(on_stream_error=policy, **one_attempt(preset))
    simulator.script(slowly(preset))

    heard = await gateway.chat(None)
    exchange = await gateway.wait_settled()

    text = heard.body.decode()
    assert heard.status == 200
    assert not heard.is_whole
    assert text.endswith("]\n") is (policy == "notice")
    assert text.startswith(("word0", "This"))
    assert exchange.outcome is Outcome.UPSTREAM_FAILED


@pytest.mark.parametrize("end", [b'data: {"error":{"message":"m"}}\n\n', b"", b"data: {\n\n"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/sim"])
async def test_what_comes_in_one_read_with_the_failure_is_delivered_and_paid_once(
    open_gateway: OpenGateway, end: bytes, path: str
) -> None:
    """How reads are cut decides nothing: content is the commit point."""
    body = TOKEN * 200 + end
    answer = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    async with RawProvider(answer_with(answer)) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
        gateway = await open_gateway(base_url=url, retries=2)

        heard = await gateway.ask(None, path)
        exchange = await gateway.wait_settled()

    assert heard.status == 200
    assert not heard.is_whole
    assert b"[DONE]" not in heard.body
    assert heard.body.count(TOKEN if path.startswith("/v1") else b"a") == 200
    assert (exchange.outcome, exchange.attempts) == (Outcome.UPSTREAM_FAILED, 1)
    assert exchange.chunks == 200


@pytest.mark.parametrize("preset", ["cut", "groq-error", "stall"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/sim"])
async def test_a_broken_stream_is_reset_for_http_1_0(
    open_gateway: OpenGateway, simulator: Simulator, preset: str, path: str
) -> None:
    """There a FIN is the clean end of the body."""
    gateway = await open_gateway(**one_attempt(preset))
    simulator.script(slowly(preset))
    simulator.script(slowly(preset))

    heard = await gateway.ask(None, path, version="1.0")

    assert heard.status == 200
    assert heard.was_reset
    assert heard.body


@pytest.mark.parametrize(
    ("directive", "status", "code"),
    [
        ("cut-before-head", 502, "upstream_connect"),
        ("cut-in-head", 502, "upstream_cut"),
        ({"cut": {"at": "after_head"}}, 502, "upstream_cut"),
        ("stall-before-head", 504, "upstream_first_content_timeout"),
        ("stall-after-head", 504, "upstream_first_content_timeout"),
        ({"stall": {"comment": " ping", "every_s": 0.01}}, 504, "upstream_first_content_timeout"),
        ({"stream_error": {"shape": "openai"}}, 500, "upstream_server_error"),
        ({"stream_error": {"shape": "groq"}}, 400, "upstream_rejected"),
        ("garbage", 502, "upstream_protocol_error"),
        ("many-headers", 502, "upstream_protocol_error"),
        ("giant-header", 502, "upstream_protocol_error"),
        ("length-and-chunked", 502, "upstream_protocol_error"),
        ("unknown-coding", 502, "upstream_protocol_error"),
        ("bad-chunk", 502, "upstream_protocol_error"),
        ("interim-flood", 502, "upstream_protocol_error"),
        ("switching", 502, "upstream_protocol_error"),
        ("redirect", 502, "upstream_redirect"),
        ("page", 502, "upstream_bad_response"),
        ("empty", 502, "upstream_bad_response"),
        ("json-though-stream", 502, "upstream_bad_response"),
        ("openrouter-200-error", 502, "upstream_server_error"),
        ("bad-gateway-page", 502, "upstream_server_error"),
        ("not-found", 404, "upstream_rejected"),
        ("unauthorized", 401, "upstream_credential_rejected"),
        ("groq-413", 413, "upstream_rejected"),
        ("openai-insufficient-quota", 429, "upstream_rate_limited"),
        ("unavailable", 503, "upstream_server_error"),
        ("openrouter-529", 529, "upstream_server_error"),
        ("server-error", 500, "upstream_server_error"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/sim"])
async def test_before_the_first_content_a_failure_is_a_proper_status(
    open_gateway: OpenGateway,
    simulator: Simulator,
    directive: Any,
    status: int,
    code: str,
    path: str,
) -> None:
    """Nothing was promised yet (faults F05 to F11, F16)."""
    gateway = await open_gateway(**one_attempt(directive))
    simulator.script(directive)

    heard = await gateway.ask(None, path)
    exchange = await gateway.wait_settled()

    assert (heard.status, heard.json["code"]) == (status, code)
    assert (exchange.error_code, simulator.journal.count) == (code, 1)
    assert "transfer-encoding" not in heard.head


@pytest.mark.parametrize(
    ("directive", "status"),
    [
        ("gzip-bomb", 502),
        ("two-lengths", 502),
        ("stream-though-json", 502),
        ("page", 502),
        ({"answer": "json", "cut": {"at": "in_event"}}, 502),
        ("openrouter-200-error", 502),
        ({"json_bytes": 2000, "answer": "json"}, 502),
    ],
)
async def test_a_reply_that_is_not_whole_or_not_a_reply_is_a_bad_gateway(
    open_gateway: OpenGateway, directive: Any, status: int
) -> None:
    """It leaves with its length or not at all."""
    gateway = await open_gateway(settings={"server": {"max_reply_bytes": 1000}}, retries=0)

    heard = await gateway.ask(directive, stream=False)

    assert heard.status == status
    assert heard.json["code"].startswith("upstream_")


async def test_a_stream_without_end_is_cut_at_its_limit(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """A model in a circle (fault G07); what came before the limit came once."""
    gateway = await open_gateway(settings={"server": {"max_stream_bytes": 20_000}})

    heard = await gateway.ask({"preset": "long", "gap_s": 0.0001})
    exchange = await gateway.wait_settled()

    assert not heard.is_whole
    assert len(heard.body) < 30_000 + 65_536
    assert exchange.error_code == "upstream_reply_too_large"
    relayed = heard.body[: heard.body.index(b'data: {"error"')]
    assert simulator.journal.last.body_sent.startswith(relayed.removesuffix(b"event: error\n"))


async def test_an_exchange_may_take_so_long_in_all_and_no_longer(open_gateway: OpenGateway) -> None:
    """Content that drips for ever keeps the idle deadline happy."""
    gateway = await open_gateway(timeouts={"total_s": 0.1})

    heard = await gateway.ask({"count": 10_000, "gap_s": 0.005})
    exchange = await gateway.wait_settled()

    assert not heard.is_whole
    assert exchange.error_code == "upstream_total_timeout"


async def test_after_the_head_has_left_an_error_of_the_provider_ends_the_stream(
    open_gateway: OpenGateway,
) -> None:
    """A status that comes after ours can only be told in the stream."""
    gateway = await open_gateway(settings={"commit": {"v1_max_wait_s": 0.02}}, retries=2)

    heard = await gateway.ask({"head_delay_s": 0.1, "error": {"status": 500}})
    exchange = await gateway.wait_settled()

    assert (heard.status, heard.is_whole) == (200, False)
    assert events_of(heard.body)[-1]["error"]["code"]
    assert (exchange.outcome, exchange.attempts) == (Outcome.UPSTREAM_FAILED, 1)


async def test_stopping_ends_every_answer_as_broken(gateway: Any) -> None:
    """A restart must not look like the end of the answer."""
    async with Caller(gateway.port) as caller:
        body = {"model": "sim/m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        body["simulate"] = {"stall": {"after_tokens": 2}}
        await caller.send(request_bytes("/v1/chat/completions", body))
        await caller.read_until(b"\r\n\r\n")

        gateway.relay.stop()
        rest = await caller.read_to_end()
    exchange = await gateway.wait_settled()

    assert b"server_shutdown" in rest.raw
    assert not Heard(b"\r\n\r\n" + rest.raw).is_whole
    assert (exchange.outcome, exchange.error_code) == (Outcome.POLICY_STOPPED, "server_shutdown")
    assert gateway.relay.attempts_in_flight == 0


async def test_stopping_before_the_first_content_is_a_proper_status(
    gateway: Any, simulator: Simulator
) -> None:
    """Another gateway can take the request."""
    asking = asyncio.ensure_future(gateway.ask("stall-before-head"))
    await simulator.journal.wait_for(lambda _: True)  # the request has come

    gateway.relay.stop()
    heard = await asking

    assert (heard.status, heard.json["code"]) == (503, "server_shutdown")


@pytest.mark.parametrize("then", ["fin", "rst"])
async def test_half_an_event_is_never_the_last_thing(open_gateway: OpenGateway, then: str) -> None:
    """A reader would choke on it before it comes to our error event."""
    half = TOKEN[:20]
    pieces = [CHUNKED, *(b"%x\r\n%b\r\n" % (len(p), p) for p in (TOKEN, half))]
    async with RawProvider(answer_with(*pieces, then=then)) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
        gateway = await open_gateway(base_url=url, **one_attempt())

        heard = await gateway.ask(None)

    if heard.status == 200:  # a reset may overtake the bytes before it
        assert heard.body.startswith(TOKEN + b"data: {" + b'"error"')
        assert not heard.is_whole
    else:
        assert heard.status == 502


def test_every_preset_named_here_exists() -> None:
    """A renamed preset would be read as a model's name, and pass."""
    assert set(BROKEN) <= set(PRESETS)
