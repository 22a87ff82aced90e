"""The registry as callers may see it.

The rule here: names and facts only. Addresses, header values and credentials never leave.
"""

from collections.abc import Container
from typing import Any

from gateway.config.load import Registry
from gateway.config.provider_blocks import Model
from gateway.config.registry import Provider

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
    return not provider.auth.required or is_known


def list_key_flags(registry: Registry) -> dict[str, bool]:
    """Which providers have a credential in the gateway, by the names the front end knows."""
    flags = dict.fromkeys(_FLAGS_ALWAYS, False)
    flags |= {name: name in registry.credentials for name in registry.providers}
    return flags | dict(registry.legacy_flags)


def list_providers(registry: Registry, own: Container[str] = ()) -> list[dict[str, Any]]:
    """Every provider of the registry."""
    return [
        {
            "name": provider.name,
            "label": provider.label,
            "callable": is_callable(registry, provider, own),
            "default_model": provider.default_model,
            "models": len(provider.models),
        }
        for provider in registry.providers.values()
    ]


def list_provider_models(provider: Provider) -> list[dict[str, Any]]:
    """The models that the registry names for one provider."""
    return [_describe(model) for model in provider.models]


def list_models(registry: Registry, own: Container[str] = ()) -> list[dict[str, Any]]:
    """Every model that can be called, in the OpenAI dialect."""
    return [
        describe_model(provider, model)
        for provider in registry.providers.values()
        if is_callable(registry, provider, own)
        for model in provider.models
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
