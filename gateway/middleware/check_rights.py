"""May this key use that provider and that model.

The rule here: asked after the model's alias is resolved, so that no other name of it gets past; nor
does a field by which a provider that leads to many models would take another one.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.errors import ModelNotAllowedError, ProviderNotAllowedError
from gateway.core.key_holder import KeyHolder
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, PROMPT, Call, Prompt
from gateway.wire.chat_request import ChatRequest


@web.middleware
async def check_rights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what the caller's key is not for; other requests pass."""
    principal = request[EXCHANGE].principal
    # Of a struct: 50 ns. Most keys are for all there is.
    if isinstance(principal, KeyHolder) and (principal.providers or principal.models):
        call = request.get(CALL)
        if call is not None:
            _check(principal, call)
            if principal.models:
                _refuse_other_models(request.get(PROMPT), call)
    return await handler(request)


def _check(holder: KeyHolder, call: Call) -> None:
    provider = call.provider
    if not holder.may_use(provider.name):
        raise ProviderNotAllowedError(
            f"This key may not use {provider.label}; the gateway's operator can make one that may.",
            detail=f"the key {holder.name} is for {', '.join(sorted(holder.providers))}",
        )
    # A right may be written with the alias.
    if not (
        holder.may_ask_for(provider.name, (call.model,))
        or holder.may_ask_for(provider.name, provider.names_of(call.model))
    ):
        raise ModelNotAllowedError(
            "This key may not use this model; the gateway's operator can make one that may.",
            detail=f"the key {holder.name} is for {', '.join(sorted(holder.models))}",
            param="model",
        )


def _refuse_other_models(prompt: Prompt | None, call: Call) -> None:
    """Raise where the body names other models beside the one that was looked at."""
    if prompt is None or isinstance(prompt, ChatRequest):  # of a chat nothing is sent as it came
        return
    name = prompt.find_other_models(call.provider.params)
    if name is not None:
        raise ModelNotAllowedError(
            f"This key is for certain models, and `{name}` may lead to another one; leave it out.",
            param=name,
        )
