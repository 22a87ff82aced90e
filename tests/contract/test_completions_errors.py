"""How a caller of `/v1/chat/completions` learns that something went wrong.

The rule here: before the first event it is a status and one JSON shape; after it, an event and a
cut.
"""

import json
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import (
    COMPLETIONS,
    HELLO,
    ask,
    complete,
    events_of,
    header_of,
    simulated,
    stream,
)
from tests.plugins.gateway import Gateway

ERRORS = [
    # model, status, type, code, message
    ("unauthorized", 401, "invalid_request_error", "upstream_credential_rejected", None),
    ("not-found", 404, "invalid_request_error", "model_not_found", "The model does not exist."),
    ("rate-limited", 429, "requests", "rate_limit_exceeded", None),
    ("openai-insufficient-quota", 429, "insufficient_quota", "insufficient_quota", None),
    ("server-error", 500, "server_error", "upstream_server_error", None),
    ("unavailable", 503, "server_error", "service_unavailable", "The model is overloaded."),
    ("mistral-422", 422, "invalid_request_error", "upstream_rejected", None),
    ("xai-error", 400, "invalid_request_error", "Client specified an invalid argument", None),
    ("gemini-error", 404, "NOT_FOUND", "404", "The model does not exist."),
    ("anthropic-529", 529, "overloaded_error", "upstream_server_error", None),
    ("fireworks-412", 412, "invalid_request_error", "upstream_rejected", None),
    ("bad-gateway-page", 502, "upstream_error", "upstream_server_error", None),
    ("page", 502, "upstream_error", "upstream_bad_response", None),
    ("redirect", 502, "upstream_error", "upstream_redirect", None),
    ("cut-before-head", 502, "upstream_error", "upstream_connect", None),
]


@pytest.mark.parametrize("as_stream", [False, True])
@pytest.mark.parametrize("failure", ERRORS, ids=lambda failure: failure[0])
async def test_a_failure_has_openai_s_shape(
    single: Gateway, failure: tuple[str, int, str, str, str | None], *, as_stream: bool
) -> None:
    """SDKs make their exceptions from these four fields; providers do not agree on them."""
    model, status, kind, code, message = failure

    heard = await complete(single, model, stream=as_stream)

    assert heard.status == status
    assert header_of(heard, "content-type") == "application/json; charset=utf-8"
    assert header_of(heard, "x-should-retry") == "false"
    value = heard.json
    assert value["request_id"] == header_of(heard, "x-request-id")
    error = value["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == (kind, code)
    assert error["message"] == message if message else error["message"]


async def test_a_refused_credential_is_said_to_be_the_gateway_s(single: Gateway) -> None:
    """A caller who reads "incorrect API key" goes looking at their own."""
    heard = await complete(single, "unauthorized")

    message = heard.json["error"]["message"]
    assert message.startswith("Sim does not accept the gateway's credential: Incorrect API key")


async def test_a_failed_tool_call_keeps_what_the_model_wrote(single: Gateway) -> None:
    """Clients of Groq retry with it."""
    heard = await complete(single, "groq-tool-use-failed")

    assert heard.json["error"]["failed_generation"] == "<tool>"


@pytest.mark.parametrize(
    ("model", "type_or_code"),
    [
        ("cut", "upstream_cut"),
        ("reset", "upstream_cut"),
        (simulated(finish="never", done="never"), "upstream_truncated"),
        ("openai-stream-error", "server_error"),
        ("openrouter-error", "The model stopped unexpectedly."),
        ("groq-error", "tool_use_failed"),
    ],
)
async def test_a_stream_that_failed_ends_with_an_error_and_never_with_done(
    single: Gateway, model: str, type_or_code: str
) -> None:
    """A client must be able to tell half an answer from a short one."""
    heard = await stream(single, model)

    assert heard.status == 200
    assert not heard.is_whole
    assert b"[DONE]" not in heard.body
    last = events_of(heard.body)[-1]
    error = json.loads(last[last.index(b"{") :])["error"]
    assert type_or_code in (error.get("type"), error.get("code"), error.get("message"))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"model": "sim/"}, "model"),
        ({"model": "/x"}, "model"),
        ({"messages": "Hi"}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 1}, "stream_options"),
        ({"n": 0}, "n"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named_in_param(
    single: Gateway, simulator: Simulator, fields: dict[str, Any], param: str
) -> None:
    """SDKs show `param`; a request that is wrong costs no attempt."""
    body = {"model": "sim/plain", "messages": HELLO} | fields

    heard = await ask(single, COMPLETIONS, body)

    assert heard.status == 400
    assert heard.json["error"]["param"] == param
    assert heard.json["error"]["type"] == "invalid_request_error"
    assert simulator.journal.count == 0


async def test_an_unknown_provider_is_404(single: Gateway) -> None:
    """With the place to look for the right name."""
    heard = await ask(single, COMPLETIONS, {"model": "grok/x", "messages": HELLO})

    assert heard.status == 404
    assert heard.json["error"]["code"] == "provider_not_found"
    assert heard.json["error"]["param"] == "model"
