"""What the shipped registry sends to each provider for `/api/chat`.

The rule here: the entries are those of providers.yaml; only their addresses are the simulator's.
"""

import json
from typing import Any

from gateway.simulator import Simulator
from tests.contract.calls import HELLO, chat
from tests.contract.entries import SHIPPED
from tests.plugins.gateway import CREDENTIAL, Gateway

USAGE = {"stream_options": {"include_usage": True}}
CALLED = [name for name in SHIPPED if name != "demo"]

# What goes upstream beside model, messages and stream, for a model that is in the registry.
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("groq", "llama3-8b-8192", {"max_tokens": 8192}),
    ("groq", "llama3-70b-8192", {"max_tokens": 8192}),
    ("groq", "mixtral-8x7b-32768", {"max_tokens": 4096}),
    ("groq", "gemma-7b-it", {"max_tokens": 8192}),
    ("groq", "llama-3.3-70b-versatile", {}),
    ("mistral", "mistral-tiny", {"max_tokens": 2000}),
    ("mistral", "mistral-small-latest", {"max_tokens": 2000}),
    ("mistral", "mistral-large-latest", {"max_tokens": 2000}),
    ("openrouter", "openai/gpt-4o-mini", {"temperature": 0.5}),
    ("openai", "gpt-4o", {"temperature": 0.5} | USAGE),
    ("openai", "gpt-3.5-turbo", {"temperature": 0.5} | USAGE),
    ("azure", "gpt-4o", {"temperature": 0.5} | USAGE),
    ("perplexity", "sonar", {}),
    ("perplexity", "pplx-7b-online", {}),
    ("anthropic", "claude-3-haiku-20240307", {"temperature": 0.5, "max_tokens": 4096} | USAGE),
    ("google", "gemini-1.5-flash", {"temperature": 0.5} | USAGE),
    ("deepseek", "deepseek-chat", {"temperature": 0.5} | USAGE),
    ("ollama", "llama3.2", {"temperature": 0.5} | USAGE),
]


async def test_each_provider_gets_the_parameters_it_always_got(
    shipped: Gateway, simulator: Simulator
) -> None:
    """A temperature or a cap too many is a 400 at one host and another answer at the next."""
    for name, model, extra in CASES:
        simulator.script({"tokens": ["Yes"]})

        heard = await chat(shipped, model, provider=name)

        assert (heard.status, heard.chunks) == (200, [b"Yes"]), (name, model)
        body = json.loads(simulator.journal.last.body)
        expected = {"model": model, "messages": HELLO, "stream": True} | extra
        assert body == expected, (name, model)


async def test_groq_gets_these_bytes(shipped: Gateway, simulator: Simulator) -> None:
    """Written out once, so that the order and the spelling are pinned as well."""
    simulator.script({"tokens": ["Yes"]})

    await chat(shipped, "mixtral-8x7b-32768", provider="groq")

    assert simulator.journal.last.path == "/v1/chat/completions"
    assert simulator.journal.last.body == (
        b'{"model":"mixtral-8x7b-32768","messages":[{"role": "user", "content": "Hi"}],'
        b'"max_tokens":4096,"stream":true}'
    )


async def test_a_model_that_nobody_knows_is_asked_for(
    shipped: Gateway, simulator: Simulator
) -> None:
    """The original died of it with groq, mistral and anthropic; new models appear every week."""
    for name in CALLED:
        simulator.script({"tokens": ["Yes"]})

        heard = await chat(shipped, "brand-new/model-9", provider=name)

        assert (heard.status, heard.chunks) == (200, [b"Yes"]), name
        body = json.loads(simulator.journal.last.body)
        assert body["model"] == "brand-new/model-9", name
        assert body.get("max_tokens") == (4096 if name == "anthropic" else None), name


async def test_without_a_model_the_provider_s_default_is_asked_for(
    shipped: Gateway, simulator: Simulator
) -> None:
    """A front end that sends an empty model gets an answer, not a riddle."""
    with_default = [name for name in CALLED if "default_model" in SHIPPED[name]]
    assert with_default
    for name in with_default:
        simulator.script({"tokens": ["Yes"]})

        heard = await chat(shipped, "", provider=name)

        assert heard.status == 200, name
        default = SHIPPED[name]["default_model"]
        ids = [model["id"] for model in SHIPPED[name]["models"] if default in model.values()]
        assert [json.loads(simulator.journal.last.body)["model"]] == ids, name


async def test_the_credential_goes_where_each_provider_looks(
    shipped: Gateway, simulator: Simulator
) -> None:
    """In the wrong header a good key is a missing one."""
    for name in CALLED:
        simulator.script({"tokens": ["Yes"]})

        await chat(shipped, "m", provider=name)

        served = simulator.journal.last
        shown = (served.header("api-key"), served.header("authorization"))
        bearer = (None, f"Bearer {CREDENTIAL}")
        assert shown == ((CREDENTIAL, None) if name == "azure" else bearer), name


async def test_the_demo_answers_without_any_credential(shipped: Gateway) -> None:
    """It is the first thing that a new operator asks."""
    heard = await chat(shipped, "plain", provider="demo")

    assert heard.status == 200
    assert heard.body.startswith(b"This is a simulated answer.")
