"""May this key use that provider and that model.

The rule here: asked after the model's alias is resolved, so that no other name of it gets past.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.errors import ModelNotAllowedError, ProviderNotAllowedError
from gateway.core.key_holder import KeyHolder
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, Call


@web.middleware
async def check_rights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what the caller's key is not for; other requests pass."""
    principal = request[EXCHANGE].principal
    if isinstance(principal, KeyHolder):  # of a struct: 50 ns
        call = request.get(CALL)
        if call is not None:
            _check(principal, call)
    return await handler(request)


def _check(holder: KeyHolder, call: Call) -> None:
    provider = call.provider
    if holder.providers and provider.name not in holder.providers:
        raise ProviderNotAllowedError(
            f"This key is not for {provider.label}; whoever runs the gateway can make one that is.",
            detail=f"the key {holder.name} is for {', '.join(sorted(holder.providers))}",
        )
    if holder.models and not _is_one_of(holder.models, call):
        raise ModelNotAllowedError(
            "This key is not for this model; whoever runs the gateway can make one that is.",
            detail=f"the key {holder.name} is for {', '.join(sorted(holder.models))}",
            param="model",
        )


def _is_one_of(models: frozenset[str], call: Call) -> bool:
    provider = call.provider
    if f"{provider.name}/{call.model}" in models:
        return True
    known = provider.find_model(call.model)  # a right may be written with the alias
    return (
        known is not None and known.alias is not None and f"{provider.name}/{known.alias}" in models
    )
