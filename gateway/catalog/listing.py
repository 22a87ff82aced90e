"""The registry as callers may see it.

The rule here: names and facts only, and of those what the caller's key is for. Addresses, header
values and credentials never leave.
"""

from collections.abc import Container
from typing import Any

from gateway.config.load import Registry
from gateway.config.provider_blocks import Model
from gateway.config.registry import Provider
from gateway.core.identity import Principal
from gateway.core.key_holder import KeyHolder

# The flags that the front end knows by name whatever the registry holds (contract 1.5).
_FLAGS_ALWAYS = (
    "azure",
    "openai",
    "google",
    "anthropic",
    "mistral",
    "groq",
    "perplexity",
    "openrouter",
)


def is_callable(registry: Registry, provider: Provider, own: Container[str] = ()) -> bool:
    """True when a call to this provider has what it needs.

    `own` names the providers for which the caller has what it takes.
    """
    if provider.is_custom:
        return provider.name in own
    if provider.is_placeholder:
        return provider.own_endpoint is not None and provider.name in own
    is_known = provider.name in registry.credentials or provider.name in own
    return not provider.needs_credential or is_known


def can_see(caller: Principal | None, provider: Provider) -> bool:
    """True when the caller's key is for something of this provider."""
    return not isinstance(caller, KeyHolder) or caller.may_see(provider.name)


def can_ask_for(caller: Principal | None, provider: Provider, name: str) -> bool:
    """True when the caller's key is for the model of this name."""
    if not isinstance(caller, KeyHolder):
        return True
    names = provider.names_of(name)
    return caller.may_use(provider.name) and caller.may_ask_for(provider.name, names)


def list_key_flags(registry: Registry, caller: Principal | None) -> dict[str, bool]:
    """Which providers have a credential in the gateway, by the names the front end knows."""
    flags = dict.fromkeys(_FLAGS_ALWAYS, False)
    flags |= {
        name: name in registry.credentials
        for name, provider in registry.providers.items()
        if can_see(caller, provider)
    }
    legacy = dict(registry.legacy_flags)
    if isinstance(caller, KeyHolder):  # each begins with the name of its provider
        legacy = {
            flag: is_set and caller.may_see(flag.partition("_")[0])
            for flag, is_set in legacy.items()
        }
    return flags | legacy


def list_providers(
    registry: Registry, caller: Principal | None, own: Container[str] = ()
) -> list[dict[str, Any]]:
    """Every provider of the registry that the caller's key is for."""
    return [
        {
            "name": provider.name,
            "label": provider.label,
            "callable": is_callable(registry, provider, own),
            "default_model": _default_model(provider, caller),
            "models": len(_models_of(provider, caller)),
        }
        for provider in registry.providers.values()
        if can_see(caller, provider)
    ]


def list_provider_models(provider: Provider, caller: Principal | None) -> list[dict[str, Any]]:
    """The models that the registry names for one provider and the caller's key is for."""
    return [_describe(model) for model in _models_of(provider, caller)]


def list_models(
    registry: Registry, caller: Principal | None, own: Container[str] = ()
) -> list[dict[str, Any]]:
    """Every model that the caller can call, in the OpenAI dialect."""
    return [
        describe_model(provider, model)
        for provider in registry.providers.values()
        if is_callable(registry, provider, own)
        for model in _models_of(provider, caller)
    ]


def describe_model(provider: Provider, model: Model) -> dict[str, Any]:
    """One model in the OpenAI dialect."""
    described = {
        "id": f"{provider.name}/{model.id}",
        "object": "model",
        "created": 0,  # required by clients; providers' own lists have it, the registry does not
        "owned_by": provider.name,
    }
    if model.context is not None:
        described["context_window"] = model.context
    if model.max_output is not None:
        described["max_completion_tokens"] = model.max_output
    return described


def _models_of(provider: Provider, caller: Principal | None) -> list[Model]:
    return [model for model in provider.models if can_ask_for(caller, provider, model.id)]


def _default_model(provider: Provider, caller: Principal | None) -> str | None:
    name = provider.default_model
    return name if name is not None and can_ask_for(caller, provider, name) else None


def _describe(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "alias": model.alias,
        "label": model.label or model.id,
        "context": model.context,
        "max_output": model.max_output,
        "price_in_usd_per_mtok": _text(model.price_in_usd_per_mtok),
        "price_out_usd_per_mtok": _text(model.price_out_usd_per_mtok),
        "image_input": model.image_input,
    }


def _text(price: object) -> str | None:
    # A price is exact; a JSON number is not.
    return None if price is None else str(price)
