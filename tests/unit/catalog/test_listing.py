"""The registry as callers may see it."""

import json
from decimal import Decimal

import pytest
from pydantic import SecretStr

from gateway.catalog.listing import (
    can_ask_for,
    can_see,
    describe_model,
    is_callable,
    list_key_flags,
    list_models,
    list_provider_models,
    list_providers,
)
from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.core.identity import ANONYMOUS
from gateway.core.key_holder import KeyHolder

SECRET = "gsk-secret"
HEADER = "header-secret"


def provider(name: str, **fields: object) -> Provider:
    """An entry of the registry."""
    usual = {"name": name, "base_url": f"https://api.{name}.example/v1"}
    return Provider.model_validate({**usual, **fields})


MODELS = [
    {
        "id": "llama-3.3-70b",
        "alias": "llama",
        "label": "Llama 3.3",
        "context": 131_072,
        "max_output": 32_768,
        "price_in_usd_per_mtok": Decimal("0.59"),
        "price_out_usd_per_mtok": Decimal("0.10"),
        "image_input": True,
    },
    {"id": "org/model:free"},
]
GROQ = provider("groq", models=MODELS, default_model="llama", headers={"X-Title": HEADER})
OPEN = provider("ollama", auth={"required": False}, models=[{"id": "qwen"}])
BARE = provider("xai", models=[{"id": "grok"}])
AZURE = provider("azure", base_url="https://EXAMPLE.openai.azure.com/openai/v1")


@pytest.fixture
def registry() -> Registry:
    """Four providers, two with a credential."""
    providers = {each.name: each for each in (GROQ, OPEN, BARE, AZURE)}
    secret = (Credential("K", SecretStr(SECRET)),)
    credentials = {"groq": secret, "azure": secret}
    return Registry(providers, credentials, legacy_flags={"openai_organization_id": True})


def test_a_provider_is_callable_with_all_that_a_call_needs(registry: Registry) -> None:
    """A credential, or none needed, and an address that is somebody's own."""
    callable_ones = [
        name for name, each in registry.providers.items() if is_callable(registry, each)
    ]

    assert callable_ones == ["groq", "ollama"]


def test_the_flags_are_those_that_the_front_end_knows(registry: Registry) -> None:
    """It reads each by its name, whatever the registry holds (contract 1.5)."""
    flags = list_key_flags(registry, None)

    assert all(type(flag) is bool for flag in flags.values())
    assert {name for name, flag in flags.items() if flag} == {
        "groq",
        "azure",
        "openai_organization_id",
    }
    assert {"openai", "google", "anthropic", "mistral", "perplexity", "openrouter"} <= set(flags)


def test_an_empty_registry_still_has_the_flags() -> None:
    """A missing one would be `undefined` there."""
    flags = list_key_flags(Registry({}, {}), None)

    assert set(flags.values()) == {False}
    assert "groq" in flags


def test_providers_are_listed_with_names_and_facts(registry: Registry) -> None:
    """In the operator's order."""
    listed = list_providers(registry, None)

    assert [each["name"] for each in listed] == ["groq", "ollama", "xai", "azure"]
    assert listed[0] == {
        "name": "groq",
        "label": "Groq",
        "callable": True,
        "default_model": "llama",
        "models": 2,
    }


def test_a_model_is_listed_with_all_that_is_known_of_it() -> None:
    """A price is text: a JSON number is not exact."""
    full, bare = list_provider_models(GROQ, None)

    assert full == {
        "id": "llama-3.3-70b",
        "alias": "llama",
        "label": "Llama 3.3",
        "context": 131_072,
        "max_output": 32_768,
        "price_in_usd_per_mtok": "0.59",
        "price_out_usd_per_mtok": "0.10",
        "image_input": True,
    }
    assert (bare["label"], bare["price_in_usd_per_mtok"]) == ("org/model:free", None)


def test_only_models_that_can_be_called_are_in_the_openai_list(registry: Registry) -> None:
    """A client takes what is listed for what works."""
    listed = list_models(registry, None)

    assert [each["id"] for each in listed] == [
        "groq/llama-3.3-70b",
        "groq/org/model:free",
        "ollama/qwen",
    ]
    assert all(each["object"] == "model" and each["created"] == 0 for each in listed)


def test_a_model_in_the_openai_dialect_says_what_is_known() -> None:
    """Fields that nobody knows are left out, not null."""
    assert describe_model(GROQ, GROQ.models[0]) == {
        "id": "groq/llama-3.3-70b",
        "object": "model",
        "created": 0,
        "owned_by": "groq",
        "context_window": 131_072,
        "max_completion_tokens": 32_768,
    }
    assert "context_window" not in describe_model(GROQ, GROQ.models[1])


def test_no_secret_and_no_address_leaves(registry: Registry) -> None:
    """Names and facts only."""
    everything = json.dumps(
        [
            list_key_flags(registry, None),
            list_providers(registry, None),
            list_models(registry, None),
            [list_provider_models(each, None) for each in registry.providers.values()],
        ]
    )

    assert SECRET not in everything
    assert HEADER not in everything
    assert "https://" not in everything


def holder(*models: str, providers: tuple[str, ...] = ()) -> KeyHolder:
    """Somebody whose key has rights."""
    rights = {"providers": frozenset(providers), "models": frozenset(models)}
    return KeyHolder("alice", "gateway_key", **rights)


def test_who_has_no_such_limits_sees_everything(registry: Registry) -> None:
    """A key without rights is for all, as are tokens and sessions."""
    for caller in (None, ANONYMOUS, holder()):
        assert list_providers(registry, caller) == list_providers(registry, None)
        assert list_models(registry, caller) == list_models(registry, None)
        assert list_key_flags(registry, caller) == list_key_flags(registry, None)


def test_a_key_for_a_provider_sees_that_one_alone(registry: Registry) -> None:
    """What else there is, is nobody's business."""
    caller = holder(providers=("ollama",))

    assert [each["name"] for each in list_providers(registry, caller)] == ["ollama"]
    assert [each["id"] for each in list_models(registry, caller)] == ["ollama/qwen"]
    flags = list_key_flags(registry, caller)
    assert set(flags.values()) == {False}
    assert "xai" not in flags
    assert {"groq", "azure", "openai_organization_id"} <= set(flags)


def test_a_key_for_a_model_sees_that_one_alone(registry: Registry) -> None:
    """By its id or its alias; the default is shown to those who may use it."""
    caller = holder("groq/org/model:free")
    by_alias = holder("groq/llama")

    assert [each["id"] for each in list_models(registry, caller)] == ["groq/org/model:free"]
    (entry,) = list_providers(registry, caller)
    assert (entry["name"], entry["models"], entry["default_model"]) == ("groq", 1, None)
    assert list_key_flags(registry, caller)["groq"] is True
    assert [each["id"] for each in list_provider_models(GROQ, by_alias)] == ["llama-3.3-70b"]
    assert list_providers(registry, by_alias)[0]["default_model"] == "llama"


def test_both_rights_have_to_agree() -> None:
    """As they do when the model is called."""
    both = holder("groq/llama", providers=("ollama",))

    assert not can_see(both, GROQ)
    assert not can_see(both, OPEN)
    assert not can_ask_for(both, GROQ, "llama")
    assert not can_ask_for(both, OPEN, "qwen")


def test_what_the_caller_has_makes_a_provider_callable(registry: Registry) -> None:
    """At an address that is not filled in only where theirs is taken; flags are the operator's."""
    own_endpoint = {"field": "endpoint", "models": {"m": "m_id"}}
    theirs = provider("azure", base_url=AZURE.base_url, own_endpoint=own_endpoint)
    custom = provider("custom", base_url="models:", auth={"required": False})
    own = {"xai", "azure", "custom"}

    assert is_callable(registry, BARE, own)
    assert not is_callable(registry, AZURE, own)
    assert is_callable(registry, theirs, own)
    assert is_callable(registry, custom, own)
    assert not is_callable(registry, custom)
    assert {"xai/grok"} <= {model["id"] for model in list_models(registry, None, own)}
    assert [each["name"] for each in list_providers(registry, None, own) if each["callable"]] == [
        "groq",
        "ollama",
        "xai",
    ]
    assert list_key_flags(registry, None)["xai"] is False
