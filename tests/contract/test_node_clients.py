"""JavaScript's view of the gateway: a front end's own steps, and npm's `openai`.

The rule here: the programs in tests/node know nothing of the tests; they print what they saw.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import chat_body, simulated
from tests.contract.entries import entry
from tests.contract.node import TIMEOUT_S, finish, start
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway

TEXT = "This is a simulated answer. It says what it was told to say, and nothing else."


async def show(node: Path, gateway: Gateway, model: str, provider: str = "sim") -> Any:
    """What the user of a front end sees of one answer."""
    url = f"{gateway.url}/api/chat/{provider}"
    return await finish(await start(node, "chat-front-end.mjs", url, json.dumps(chat_body(model))))


async def use_sdk(node: Path, gateway: Gateway, wish: str, model: str) -> Any:
    """What a user of npm's `openai` gets or catches."""
    url = f"{gateway.url}/v1"
    return await finish(await start(node, "openai-client.mjs", url, wish, model))


async def test_a_front_end_shows_the_text_as_it_is(node_path: Path, single: Gateway) -> None:
    """Characters that were cut on the wire are whole on the screen."""
    tokens = ["\n\n", "Grüße", ", ", "世界", " 👩‍🚀"]

    seen = await show(node_path, single, simulated(tokens=tokens, writes={"in_utf8": True}))

    assert (seen["status"], seen["failed"]) == (200, False)
    assert seen["text"] == "Grüße, 世界 👩‍🚀"


TOASTS = [
    ("unauthorized", "sim", "Sim API Key is incorrect. Please fix it in your profile settings."),
    ("unavailable", "sim", "503 The model is overloaded."),
    ("bad-gateway-page", "sim", "502 Sim answered with a page that is not JSON."),
    ("m", "keyless", "Keyless API Key not found. Please set it in your profile settings."),
    ("m", "grok", "There is no provider of this name; GET /api/providers lists what there is."),
]


async def test_a_front_end_shows_why_there_is_no_answer(
    node_path: Path, start_gateway: StartGateway, simulator: Simulator
) -> None:
    """A body that is not JSON would leave its user without a word."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url), "keyless": entry(simulator.base_url)},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    seen = [await show(node_path, gateway, model, provider) for model, provider, _ in TOASTS]

    assert [answer["toast"] for answer in seen] == [toast for _, _, toast in TOASTS]
    assert [answer["status"] for answer in seen] == [401, 503, 502, 500, 404]


async def test_a_front_end_keeps_half_an_answer_and_can_tell(
    node_path: Path, single: Gateway
) -> None:
    """The read fails, so a front end that wants to say so can."""
    seen = await show(node_path, single, simulated(tokens=["one", "two"], cut={"after_tokens": 2}))

    assert seen["text"] == "onetwo"
    assert seen["failed"] == "broken"


async def test_the_stop_button_ends_the_answer_at_the_provider(
    node_path: Path, single: Gateway, simulator: Simulator
) -> None:
    """The text so far stays; nothing more is paid for."""
    body = chat_body(simulated(tokens=["one", "two"], stall={"after_tokens": 1}))
    url = f"{single.url}/api/chat/sim"
    process = await start(
        node_path, "chat-front-end.mjs", url, json.dumps(body), "stop-after-first-chunk"
    )

    await simulator.journal.wait_for(lambda served: served.peer_left.is_set(), TIMEOUT_S)

    seen = await finish(process)
    assert (seen["text"], seen["failed"]) == ("one", "stopped")
    assert (await single.log.wait_for_settled())[0]["outcome"] == "client_gone"


async def test_the_stop_button_works_before_the_first_text(
    node_path: Path, single: Gateway, simulator: Simulator
) -> None:
    """Users press it most while nothing comes."""
    url, body = f"{single.url}/api/chat/sim", json.dumps(chat_body("stall-after-head"))
    process = await start(node_path, "chat-front-end.mjs", url, body, "stop-before-head")
    await simulator.journal.wait_for_count(1, TIMEOUT_S)
    assert process.stdin is not None
    process.stdin.write(b"stop\n")

    await simulator.journal.wait_for(lambda served: served.peer_left.is_set(), TIMEOUT_S)

    assert await finish(process) == {"error": "AbortError"}
    assert (await single.log.wait_for_settled())[0]["outcome"] == "client_gone"


@pytest.mark.parametrize("wish", ["whole", "stream"])
@pytest.mark.usefixtures("node_modules")
async def test_npm_s_openai_reads_an_answer(node_path: Path, single: Gateway, wish: str) -> None:
    """The other half of the programs that speak this API."""
    got = await use_sdk(node_path, single, wish, "sim/plain")

    assert got["text"] == TEXT
    settled = await single.log.wait_for_settled()
    assert wish == "stream" or got["requestId"] == settled[0]["request_id"]


ERRORS = [
    ("unauthorized", "AuthenticationError", 401, "upstream_credential_rejected"),
    ("not-found", "NotFoundError", 404, "model_not_found"),
    ("rate-limited", "RateLimitError", 429, "rate_limit_exceeded"),
    ("unavailable", "InternalServerError", 503, "service_unavailable"),
]


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case[0])
@pytest.mark.usefixtures("node_modules")
async def test_npm_s_openai_raises_by_status_and_does_not_repeat(
    node_path: Path, single: Gateway, simulator: Simulator, case: tuple[str, str, int, str]
) -> None:
    """Its retries are on, as they are for everybody."""
    model, *expected = case

    error = (await use_sdk(node_path, single, "whole", f"sim/{model}"))["error"]

    assert [error["name"], error["status"], error["code"]] == expected
    assert error["requestID"] == (await single.log.wait_for_settled())[0]["request_id"]
    assert simulator.journal.count == 1


@pytest.mark.parametrize("model", ["sim/cut", "sim/openai-stream-error"])
@pytest.mark.usefixtures("node_modules")
async def test_npm_s_openai_raises_when_a_stream_fails(
    node_path: Path, single: Gateway, model: str
) -> None:
    """After the text that came, and never with a finish reason."""
    got = await use_sdk(node_path, single, "stream", model)

    assert got["text"]
    assert got["finish"] is None
    assert got["error"]["name"] == "APIError"


@pytest.mark.usefixtures("node_modules")
async def test_npm_s_openai_stopping_a_stream_ends_it_at_the_provider(
    node_path: Path, single: Gateway, simulator: Simulator
) -> None:
    """`stream.controller.abort()` is its stop button."""
    got = await use_sdk(node_path, single, "stop", "sim/stall")

    assert TEXT.startswith(got["text"])
    await simulator.journal.wait_for(lambda served: served.peer_left.is_set())
    assert (await single.log.wait_for_settled())[0]["outcome"] == "client_gone"


@pytest.mark.usefixtures("node_modules")
async def test_npm_s_openai_finds_models_with_slashes(node_path: Path, shipped: Gateway) -> None:
    """It writes them as %2F."""
    got = await use_sdk(node_path, shipped, "models", "groq/openai/gpt-oss-120b")

    assert "groq/openai/gpt-oss-120b" in got["ids"]
    assert got["found"] == "groq/openai/gpt-oss-120b"
