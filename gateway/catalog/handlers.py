"""`GET /api/keys`, `/api/providers`, `/api/providers/{provider}/models`, `/v1/models`.

The rule here: answered from the registry and from what the caller's profile has, so a provider
that is down changes nothing. What the caller's key is not for reads like what is not there.
"""

from aiohttp import web

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
from gateway.core.errors import ModelNotFoundError, ProviderNotFoundError
from gateway.core.identity import ANONYMOUS
from gateway.credentials.finder import CREDENTIALS
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import REGISTRY


async def show_keys(request: web.Request) -> web.Response:
    """Which providers have a credential; live, not fixed when something was built."""
    flags = list_key_flags(request.app[REGISTRY], request[EXCHANGE].principal)
    return web.json_response({"isUsingEnvKeyMap": flags})


async def show_providers(request: web.Request) -> web.Response:
    """Every provider of the registry."""
    own = await _find_own(request)
    listed = list_providers(request.app[REGISTRY], request[EXCHANGE].principal, own)
    return web.json_response({"providers": listed})


async def show_provider_models(request: web.Request) -> web.Response:
    """The models of one provider."""
    caller = request[EXCHANGE].principal
    provider = request.app[REGISTRY].providers.get(request.match_info["provider"])
    if provider is None or not can_see(caller, provider):
        raise ProviderNotFoundError("There is no such provider; GET /api/providers lists them.")
    return web.json_response({"models": list_provider_models(provider, caller)})


async def show_models(request: web.Request) -> web.Response:
    """Every model that can be called."""
    own = await _find_own(request)
    listed = list_models(request.app[REGISTRY], request[EXCHANGE].principal, own)
    return web.json_response({"object": "list", "data": listed})


async def show_model(request: web.Request) -> web.Response:
    """One model, by `<provider>/<id or alias>`."""
    registry = request.app[REGISTRY]
    name, _, model_id = request.match_info["model"].partition("/")
    provider = registry.providers.get(name)
    model = provider.find_model(model_id) if provider is not None else None
    if (
        provider is None
        or model is None
        or not is_callable(registry, provider, await _find_own(request))
        or not can_ask_for(request[EXCHANGE].principal, provider, model.id)
    ):
        raise ModelNotFoundError("There is no such model; GET /v1/models lists them.")
    return web.json_response(describe_model(provider, model))


async def _find_own(request: web.Request) -> frozenset[str]:
    """The providers for which the caller has a credential of their own."""
    principal = request[EXCHANGE].principal or ANONYMOUS
    providers = request.app[REGISTRY].providers.values()
    return await request.app[CREDENTIALS].find_own(providers, principal)
