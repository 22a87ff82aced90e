"""What the shipped registry sends to each provider for `/v1`.

The rule here: the entries are those of providers.yaml; only their addresses are the simulator's.
What each host refuses is written out here once more, by hand.
"""

import json
from typing import Any

from gateway.simulator import Simulator
from tests.contract.calls import COMPLETIONS, HELLO, ask
from tests.contract.entries import SHIPPED
from tests.plugins.gateway import Gateway

CALLED = [name for name in SHIPPED if name != "demo"]

# A caller who sets whatever OpenAI takes, each with a value that would be noticed.
EVERYTHING: dict[str, Any] = {
    "temperature": 1.9,
    "top_p": 0.5,
    "max_completion_tokens": 60,
    "n": 2,
    "seed": 3,
    "stop": ["a"],
    "user": "u",
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"50256": -100},
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "service_tier": "auto",
    "parallel_tool_calls": True,
    "store": False,
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "prediction": None,
    "reasoning_effort": "high",
    "verbosity": "low",
    "stream_options": {"include_usage": True},
}
OLD_NAME = {"max_completion_tokens": None, "max_tokens": 60}

# What each host does not get of that, and what it gets in place of it (None: nothing).
CHANGES: dict[str, dict[str, Any]] = {
    "groq": {"n": 1, "logprobs": None, "top_logprobs": None, "logit_bias": None},
    "mistral": OLD_NAME
    | {"temperature": 1.5, "seed": None, "random_seed": 3}
    | dict.fromkeys(["user", "logprobs", "top_logprobs", "logit_bias", "service_tier", "store"])
    | dict.fromkeys(["modalities", "verbosity", "stream_options"]),
    "perplexity": OLD_NAME,
    "together": OLD_NAME,
    "fireworks": OLD_NAME,
    "deepseek": OLD_NAME,
    "cerebras": dict.fromkeys(
        ["frequency_penalty", "presence_penalty", "logit_bias", "parallel_tool_calls"]
    )
    | {"service_tier": None},
    "cohere": OLD_NAME
    | dict.fromkeys(["store", "metadata", "logit_bias", "top_logprobs", "n", "modalities"])
    | dict.fromkeys(["prediction", "service_tier", "parallel_tool_calls"]),
    "anthropic": {"temperature": 1, "n": 1},
    "ollama": OLD_NAME,
    "lmstudio": OLD_NAME,
}
# Those that count unasked, and of which one refuses to be asked.
UNASKED = {"groq", "openrouter", "mistral", "perplexity", "cohere"}


async def sent_to(
    name: str, gateway: Gateway, simulator: Simulator, **fields: Any
) -> dict[str, Any]:
    """The body that the provider of this name got."""
    simulator.script({"tokens": ["Yes"]})
    body = {"model": f"{name}/m", "messages": HELLO, **fields}
    heard = await ask(gateway, COMPLETIONS, body, "Content-Type: application/json")
    assert heard.status == 200, (name, heard.body)
    sent: dict[str, Any] = json.loads(simulator.journal.last.body)
    return sent


async def test_each_provider_gets_what_it_takes_and_nothing_else(
    shipped: Gateway, simulator: Simulator
) -> None:
    """One field that a closed schema does not know is a 422 for the whole question."""
    for name in CALLED:
        sent = await sent_to(name, shipped, simulator, stream=True, **EVERYTHING)

        expected = EVERYTHING | CHANGES.get(name, {})
        absent = {field for field, value in CHANGES.get(name, {}).items() if value is None}
        kept = {field: value for field, value in expected.items() if field not in absent}
        assert sent == {"model": "m", "messages": HELLO, "stream": True} | kept, name


async def test_the_cap_goes_by_the_name_that_each_host_knows(
    shipped: Gateway, simulator: Simulator
) -> None:
    """Under the other name it is refused, or overlooked and the answer has no end."""
    new_name = {"openai", "cerebras"}
    old_name = {name for name, change in CHANGES.items() if "max_tokens" in change}
    for name in CALLED:
        for field in ("max_tokens", "max_completion_tokens"):
            sent = await sent_to(name, shipped, simulator, **{field: 7})

            known = "max_completion_tokens" if name in new_name else field
            known = "max_tokens" if name in old_name else known
            assert {f: sent[f] for f in sent if f.startswith("max")} == {known: 7}, (name, field)


async def test_no_field_of_a_hosts_own_gets_past_the_length_that_was_asked_for(
    shipped: Gateway, simulator: Simulator
) -> None:
    """E12: rules are about the length that the gateway reads."""
    capped = await sent_to("llamacpp", shipped, simulator, max_tokens=7, n_predict=-1)
    alone = await sent_to("llamacpp", shipped, simulator, n_predict=7)

    assert capped == {"model": "m", "messages": HELLO, "max_tokens": 7}
    assert alone == {"model": "m", "messages": HELLO, "max_tokens": 7}


async def test_who_can_is_asked_for_token_counts_and_nobody_else(
    shipped: Gateway, simulator: Simulator
) -> None:
    """A caller's own options stay beside ours, and a reply that comes whole needs no asking."""
    for name in CALLED:
        streamed = await sent_to(name, shipped, simulator, stream=True)
        whole = await sent_to(name, shipped, simulator)

        asked = None if name in UNASKED else {"include_usage": True}
        assert streamed.get("stream_options") == asked, name
        assert "stream_options" not in whole, name


async def test_a_history_of_another_model_is_taken_by_every_host(
    shipped: Gateway, simulator: Simulator
) -> None:
    """Clients send a turn back as it came: OpenRouter's with `reasoning`, OpenAI's with more."""
    turn = {"role": "assistant", "content": "Yes"}
    extra = {
        "refusal": None,
        "annotations": [],
        "audio": None,
        "reasoning": "hm",
        "reasoning_details": [],
        "reasoning_content": "hm",
    }
    messages = [{"role": "user", "name": "bob", "content": "Hi"}, turn | extra]

    for name in CALLED:
        sent = await sent_to(name, shipped, simulator, messages=messages)

        user = {"role": "user", "content": "Hi"}
        if name == "mistral":
            assert sent["messages"] == [user, turn]
        elif name == "groq":
            assert sent["messages"] == [user, turn | extra]
        else:
            assert sent["messages"] == messages, name
