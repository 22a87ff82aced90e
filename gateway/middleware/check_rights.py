"""Whether this key may use that provider and that model.

The rule here: it is checked after the model's alias is resolved, so no other name of the model gets
around it. Neither does a field that makes a provider with many models use another one.
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
    """Refuse a call that the caller's key does not allow; other requests pass."""
    principal = request[EXCHANGE].principal
    # Costs 50 ns. Most keys are not restricted.
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
    # A right may also name the alias.
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
    """Raise if the body names other models besides the one that was checked."""
    if prompt is None or isinstance(prompt, ChatRequest):  # we write a chat's body ourselves
        return
    name = prompt.find_other_models(call.provider.params)
    if name is not None:
        raise ModelNotAllowedError(
            f"This key is for certain models, and `{name}` may lead to another one; leave it out.",
            param=name,
        )
