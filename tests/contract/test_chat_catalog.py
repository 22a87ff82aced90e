"""`/api/keys`, `/api/providers` and `/api/providers/{provider}/models`.

The rule here: the front end reads `/api/keys` by these names; the other two are the gateway's.
"""

from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import get, header_of
from tests.contract.entries import SHIPPED, env_of, shipped_entry
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway

FLAGS = {
    "azure",
    "openai",
    "google",
    "anthropic",
    "mistral",
    "groq",
    "perplexity",
    "openrouter",
    "openai_organization_id",
    "azure_openai_endpoint",
    "azure_gpt_35_turbo_name",
    "azure_gpt_45_vision_name",
    "azure_gpt_45_turbo_name",
    "azure_embeddings_name",
}


async def read(gateway: Gateway, path: str) -> Any:
    """The JSON at a path."""
    heard = await get(gateway, path)
    assert heard.status == 200
    assert header_of(heard, "content-type") == "application/json; charset=utf-8"
    return heard.json


@pytest.fixture
async def without_keys(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """The shipped registry with no credential at all."""
    return await start_gateway(
        providers={name: shipped_entry(name, simulator.base_url) for name in SHIPPED}
    )


async def test_every_flag_of_the_front_end_is_there(without_keys: Gateway) -> None:
    """A flag that is missing hides a provider's models, or asks its user for a key."""
    value = await read(without_keys, "/api/keys")

    assert value.keys() == {"isUsingEnvKeyMap"}
    flags = value["isUsingEnvKeyMap"]
    assert flags.keys() == FLAGS | SHIPPED.keys()
    assert set(flags.values()) == {False}


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "demo"])
async def test_a_flag_follows_the_environment_of_the_start(
    start_gateway: StartGateway, simulator: Simulator, name: str
) -> None:
    """The original fixed them when it was built, and asked for keys that it had."""
    gateway = await start_gateway(
        providers={name: shipped_entry(name, simulator.base_url)},
        environ={env_of(name): CREDENTIAL},
    )

    flags = (await read(gateway, "/api/keys"))["isUsingEnvKeyMap"]

    assert {flag for flag, is_set in flags.items() if is_set} == {name}


@pytest.mark.parametrize(
    ("variable", "flag"),
    [
        ("OPENAI_ORGANIZATION_ID", "openai_organization_id"),
        ("AZURE_OPENAI_ENDPOINT", "azure_openai_endpoint"),
        ("AZURE_GPT_35_TURBO_NAME", "azure_gpt_35_turbo_name"),
        ("AZURE_GPT_45_VISION_NAME", "azure_gpt_45_vision_name"),
        ("AZURE_GPT_45_TURBO_NAME", "azure_gpt_45_turbo_name"),
        ("AZURE_EMBEDDINGS_NAME", "azure_embeddings_name"),
    ],
)
async def test_the_flags_that_are_no_providers_follow_their_variables(
    start_gateway: StartGateway, simulator: Simulator, variable: str, flag: str
) -> None:
    """The settings page locks the field of each variable that is set."""
    gateway = await start_gateway(
        providers={"groq": shipped_entry("groq", simulator.base_url)}, environ={variable: "set"}
    )

    flags = (await read(gateway, "/api/keys"))["isUsingEnvKeyMap"]

    assert {name for name, is_set in flags.items() if is_set} == {flag}


async def test_an_empty_variable_is_no_key(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """`GROQ_API_KEY=` in an environment file means that there is none."""
    gateway = await start_gateway(
        providers={"groq": shipped_entry("groq", simulator.base_url)},
        environ={"GROQ_API_KEY": ""},
    )

    flags = (await read(gateway, "/api/keys"))["isUsingEnvKeyMap"]

    assert flags["groq"] is False


async def test_a_provider_of_one_s_own_has_a_flag_too(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """A front end that lists what it finds shows two lines of YAML as they are."""
    gateway = await start_gateway(
        providers={"mine": {"base_url": simulator.base_url, "allow_private": True}},
        environ={"MINE_API_KEY": CREDENTIAL},
    )

    flags = (await read(gateway, "/api/keys"))["isUsingEnvKeyMap"]

    assert flags["mine"] is True


async def test_the_providers_are_listed(without_keys: Gateway) -> None:
    """Names and facts; no address and no header value is anybody's business."""
    providers = (await read(without_keys, "/api/providers"))["providers"]

    assert {entry["name"] for entry in providers} == SHIPPED.keys()
    by_name = {entry["name"]: entry for entry in providers}
    assert by_name["groq"] == {
        "name": "groq",
        "label": "Groq",
        "callable": False,
        "default_model": "llama-3.3-70b-versatile",
        "models": len(SHIPPED["groq"]["models"]),
    }
    assert by_name["demo"]["callable"] is True
    assert "127.0.0.1" not in (await get(without_keys, "/api/providers")).body.decode()


async def test_the_models_of_a_provider_are_listed(shipped: Gateway) -> None:
    """With what a settings form needs: limits, prices and whether images are read."""
    models = (await read(shipped, "/api/providers/groq/models"))["models"]

    assert [model["id"] for model in models] == [m["id"] for m in SHIPPED["groq"]["models"]]
    assert next(model for model in models if model["id"] == "mixtral-8x7b-32768") == {
        "id": "mixtral-8x7b-32768",
        "alias": None,
        "label": "Mixtral-8x7B",
        "context": 32768,
        "max_output": 4096,
        "price_in_usd_per_mtok": None,
        "price_out_usd_per_mtok": None,
        "image_input": False,
    }


async def test_the_models_of_nobody_are_404(shipped: Gateway) -> None:
    """The same shape as every failure under /api."""
    heard = await get(shipped, "/api/providers/grok/models")

    assert heard.status == 404
    assert heard.json["message"] == "There is no such provider; GET /api/providers lists them."
    assert heard.json["error"]["code"] == "provider_not_found"
