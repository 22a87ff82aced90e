"""What a chat front end reads when there is no answer: a status and `{"message": …}`.

The rule here: the front end shows `message` as it is, so whole sentences are compared.
"""

import json
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import ask, chat, chat_body, header_of, http_request, simulated
from tests.contract.entries import SHIPPED, entry, env_of, shipped_entry
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.raw_caller import Caller, Heard

LABELS = {
    "openai": "OpenAI",
    "azure": "Azure OpenAI",
    "anthropic": "Anthropic",
    "google": "Google Gemini",
    "groq": "Groq",
    "mistral": "Mistral",
    "perplexity": "Perplexity",
    "openrouter": "OpenRouter",
    "deepseek": "DeepSeek",
    "together": "Together AI",
}


def missing(label: str) -> str:
    """Sentence A of the contract."""
    return f"{label} API Key not found. Please set it in your profile settings."


def incorrect(label: str) -> str:
    """Sentence B of the contract."""
    return f"{label} API Key is incorrect. Please fix it in your profile settings."


def error_of(heard: Heard) -> dict[str, Any]:
    """The body of a failure, its framing and its shape checked."""
    assert header_of(heard, "content-type") == "application/json; charset=utf-8"
    assert header_of(heard, "content-length") == str(len(heard.framed))
    value: dict[str, Any] = heard.json
    assert value.keys() == {"message", "error"}
    assert value["error"].keys() == {"code", "type", "request_id"}
    assert value["error"]["request_id"] == header_of(heard, "x-request-id")
    return value


def failing(status: int, **fields: Any) -> str:
    """A model whose provider answers with this error."""
    return simulated(error={"status": status, **fields})


@pytest.mark.parametrize("name", LABELS)
async def test_a_missing_key_is_500_and_sentence_a(
    start_gateway: StartGateway, simulator: Simulator, name: str
) -> None:
    """The front end's users know this sentence, and it says where to go."""
    gateway = await start_gateway(providers={name: shipped_entry(name, simulator.base_url)})

    heard = await chat(gateway, provider=name)

    assert heard.status == 500
    assert error_of(heard)["message"] == missing(LABELS[name])
    assert simulator.journal.count == 0


@pytest.mark.parametrize("name", [name for name in LABELS if name != "openai"])
async def test_a_refused_key_keeps_401_and_gives_sentence_b(
    shipped: Gateway, simulator: Simulator, name: str
) -> None:
    """Whatever a provider calls it, the user needs to know that it is the key."""
    simulator.script({"error": {"status": 401, "message": "No auth credentials found"}})

    heard = await chat(shipped, "m", provider=name)

    assert heard.status == 401
    assert error_of(heard)["message"] == incorrect(LABELS[name])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Incorrect API key provided: sk-abc.", incorrect("OpenAI")),
        ("No such organization: org-x.", "401 No such organization: org-x."),
    ],
)
async def test_openai_s_401_is_about_the_key_only_if_it_says_so(
    shipped: Gateway, simulator: Simulator, said: str, message: str
) -> None:
    """With OpenAI a 401 may be about the organisation; changing the key would not help."""
    simulator.script({"error": {"status": 401, "message": said}})

    heard = await chat(shipped, provider="openai", model="m")

    assert (heard.status, error_of(heard)["message"]) == (401, message)


async def test_gemini_s_400_about_the_key_stays_a_400_with_sentence_b(
    shipped: Gateway, simulator: Simulator
) -> None:
    """Gemini has no 401 for a wrong key; its sentence is all there is to tell it by."""
    said = "API key not valid. Please pass a valid API key."
    simulator.script({"error": {"status": 400, "shape": "gemini_list", "message": said}})

    heard = await chat(shipped, "gemini-pro", provider="google")

    assert (heard.status, error_of(heard)["message"]) == (400, incorrect("Google Gemini"))


@pytest.mark.parametrize(
    ("rule", "said", "message"),
    [
        ("status", "Nobody knows you.", incorrect("Sim")),
        ("text", "Nobody knows you.", "401 Nobody knows you."),
        ("text", "Incorrect API key provided.", incorrect("Sim")),
        ("never", "Incorrect API key provided.", "401 Incorrect API key provided."),
    ],
)
async def test_incorrect_key_says_when_sentence_b_is_used(
    start_gateway: StartGateway, simulator: Simulator, rule: str, said: str, message: str
) -> None:
    """The original had three behaviours; an operator who needs one of them can have it."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url, incorrect_key=rule)},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    heard = await chat(gateway, failing(401, message=said))

    assert (heard.status, error_of(heard)["message"]) == (401, message)


@pytest.mark.parametrize(
    "status", [400, 402, 403, 404, 408, 409, 413, 422, 424, 429, 498, 500, 501, 503, 504, 520, 529]
)
async def test_a_provider_s_status_is_kept_and_said(single: Gateway, status: int) -> None:
    """The number and the provider's own words are what a user can search for."""
    heard = await chat(single, failing(status, message="It is late."))

    assert (heard.status, error_of(heard)["message"]) == (status, f"{status} It is late.")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("openai", "400 Too long."),
        ("groq", "400 Too long."),
        ("mistral", "400 Too long."),
        ("mistral_detail", "400 body: Too long."),
        ("mistral_message_object", "400 body: Too long."),
        ("mistral_message_list", "400 body: Too long."),
        ("string", "400 Too long."),
        ("xai", "400 Too long."),
        ("gemini", "400 Too long."),
        ("gemini_list", "400 Too long."),
        ("anthropic", "400 Too long."),
        ("cohere", "400 Too long."),
        ("message", "400 Too long."),
        ("vllm", "400 Too long."),
        ("llamacpp", "400 Too long."),
        ("octet_stream", "400 Too long."),
        ("text", "400 Sim answered: Too long."),
        ("html", "400 Sim answered with a page that is not JSON."),
        ("empty", "400 Sim answered with an error and an empty body."),
    ],
)
async def test_every_provider_s_words_are_found(single: Gateway, shape: str, message: str) -> None:
    """A sentence that hides in an unusual place is as good as lost, and markup is no sentence."""
    heard = await chat(single, failing(400, shape=shape, message="Too long."))

    assert (heard.status, error_of(heard)["message"]) == (400, message)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("bad-gateway-page", "502 Sim answered with a page that is not JSON."),
        ("page", "Sim answered with something that is not a JSON object."),
        ("empty", "Sim answered with something that is not a JSON object."),
        ("json-though-stream", "Sim answered a stream request with something else."),
        ("redirect", "Sim answered with a redirect; set base_url to where it leads."),
    ],
)
async def test_what_is_no_answer_is_502(single: Gateway, model: str, message: str) -> None:
    """A page or a redirect must not be shown to the user as what the model said."""
    heard = await chat(single, model)

    assert (heard.status, error_of(heard)["message"]) == (502, message)


@pytest.mark.parametrize(
    ("model", "status", "message"),
    [
        (simulated(stream_error={"shape": "groq"}), 400, "The model stopped unexpectedly."),
        (simulated(stream_error={"shape": "openrouter", "code": 429}), 429, "The model stopped"),
        (simulated(stream_error={"shape": "openrouter_documented"}), 502, "The model stopped"),
        (simulated(stream_error={"shape": "openai"}), 500, "The model stopped unexpectedly."),
        ("openrouter-200-error", 502, "Provider returned error"),
    ],
)
async def test_an_error_inside_a_200_before_any_text_is_an_error(
    single: Gateway, model: str, status: int, message: str
) -> None:
    """The original closed the socket without a word: the user saw nothing at all."""
    heard = await chat(single, model)

    assert heard.status == status
    assert error_of(heard)["message"].startswith(f"{status} {message}")


@pytest.mark.parametrize("model", ["cut-before-head", "cut-in-head", "garbage", "bad-chunk"])
async def test_a_connection_that_fails_before_the_answer_is_502(
    single: Gateway, model: str
) -> None:
    """The user learns that it was the provider, in a sentence."""
    heard = await chat(single, model)

    assert heard.status == 502
    assert "Sim" in error_of(heard)["message"]


async def test_a_failure_is_tried_again_where_nobody_sees_it(
    gateway: Gateway, simulator: Simulator
) -> None:
    """Until the first text the user need not know that the first attempt failed."""
    again = {"status": 503, "retry_after": "0"}

    heard = await chat(gateway, simulated(error=again, then=[{"tokens": ["Better", " now"]}]))

    assert heard.chunks == [b"Better", b" now"]
    assert [served.status for served in simulator.journal] == [503, 200]


async def test_an_unknown_provider_is_404(single: Gateway) -> None:
    """A page in place of JSON gives the front end's user nothing to read."""
    heard = await chat(single, provider="grok")

    assert heard.status == 404
    assert error_of(heard) == {
        "message": "There is no provider of this name; GET /api/providers lists what there is.",
        "error": {
            "code": "provider_not_found",
            "type": "invalid_request_error",
            "request_id": header_of(heard, "x-request-id"),
        },
    }


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/", "/api/chat/sim/", "/api/command", "/"])
async def test_an_unknown_path_is_404_as_json(single: Gateway, path: str) -> None:
    """What the gateway does not serve is refused in the words that the front end can show."""
    heard = await ask(single, path, chat_body())

    assert heard.status == 404
    assert error_of(heard)["error"]["code"] == "not_found"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_another_method_is_405_and_says_which_is_right(single: Gateway, method: str) -> None:
    """RFC 9110 wants `Allow`, and whoever tries a path by hand wants it too."""
    heard = await ask(single, "/api/chat/sim", method=method)

    assert (heard.status, header_of(heard, "allow")) == (405, "POST")
    assert error_of(heard)["error"]["code"] == "method_not_allowed"


async def test_head_is_405_without_a_body(single: Gateway) -> None:
    """A body behind an answer to HEAD would be read as the next answer."""
    heard = await ask(single, "/api/chat/sim", method="HEAD")

    assert (heard.status, header_of(heard, "allow")) == (405, "POST")
    assert heard.framed == b""


async def test_a_body_that_is_too_large_is_413_as_json(single: Gateway) -> None:
    """Images ride in the body, so this one is met in everyday use."""
    request = http_request("POST", "/api/chat/sim")
    announced = request.replace(b"Content-Length: 0", b"Content-Length: 33554433")
    async with Caller(single.port) as caller:
        await caller.send(announced)
        heard = Heard(await caller.read_until(b"}}"))  # the gateway waits a while for the body

    assert heard.status == 413
    assert error_of(heard)["message"] == "The body is larger than 33554432 bytes."


async def test_a_failure_names_the_caller_s_own_request_id(single: Gateway) -> None:
    """With it, whoever runs the gateway finds the line of the log."""
    heard = await ask(single, "/api/chat/sim", chat_body("unavailable"), "X-Request-ID: mine-1")

    assert error_of(heard)["error"]["request_id"] == "mine-1"
    assert (await single.log.wait_for_settled())[0]["request_id"] == "mine-1"


async def test_no_failure_shows_the_credential(single: Gateway) -> None:
    """Some providers echo the key that they refuse."""
    heard = await chat(single, failing(403, message=f"The key {CREDENTIAL} is blocked."))

    assert heard.status == 403
    assert CREDENTIAL not in json.dumps(error_of(heard))


def test_every_label_that_is_named_here_ships() -> None:
    """A provider that left the registry must not leave a test that proves nothing."""
    assert set(LABELS) <= set(SHIPPED)
    assert env_of("google") == "GOOGLE_GEMINI_API_KEY"
