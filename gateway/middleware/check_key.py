"""Chooses the credential that we send to the provider for this call.

The rule here: a credential is passed on wrapped; nothing in the chain reads its value.
"""

from collections.abc import Iterator

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.config.credentials import FILE_PREFIX, say_where
from gateway.core.cost import FREE
from gateway.core.credential import Credential, is_callers_own
from gateway.core.dialect import Dialect
from gateway.core.errors import CredentialNotFoundError, GatewayError
from gateway.core.exchange import Exchange
from gateway.credentials.finder import CREDENTIALS, OPERATOR
from gateway.credentials.own_endpoints import unfilled
from gateway.credentials.source import model_to_note
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL, Call
from gateway.wire.render_errors import missing_key_sentence


@web.middleware
async def check_key(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find the credential for the called provider; refuse if it needs one and there is none."""
    call = request.get(CALL)
    if call is not None:
        exchange = request[EXCHANGE]
        finder = request.app[CREDENTIALS]
        found = await finder.find(call, exchange)
        if found.call is not call:  # the caller has set another address, with its own model name
            request[CALL] = found.call
            if found.call.model != call.model:
                exchange.model = model_to_note(found)
            exchange.is_at_callers_address = found.call.provider.base_url != call.provider.base_url
        credential = found.credential
        if _is_paid_by_caller(call, exchange, credential):
            exchange.price = FREE  # the caller pays, so it uses no budget
        if credential is None:
            _check_none_needed(found.call, has_profiles=finder.has_profiles)
        else:
            exchange.credential_id = credential.id
            exchange.credential_version = credential.version
            if not found.is_operators:  # the log redacts the operator's own in every line
                exchange.credential_secret = credential.secret
        request[CREDENTIAL] = credential
    return await handler(request)


def _is_paid_by_caller(call: Call, exchange: Exchange, credential: Credential | None) -> bool:
    if call.provider.is_custom or exchange.is_at_callers_address:
        return True
    # A host that needs no credential accepts any value, so sending one's own does not mean paying.
    is_own = credential is not None and is_callers_own(credential.id)
    return is_own and call.provider.needs_credential


def _check_none_needed(call: Call, *, has_profiles: bool) -> None:
    """Raise if this call must not be made without a credential."""
    if call.provider.is_placeholder and not has_profiles:
        raise unfilled(call.provider)
    if call.provider.needs_credential or call.provider.is_placeholder:
        raise _missing(call, has_profiles=has_profiles)


def _missing(call: Call, *, has_profiles: bool) -> GatewayError:
    provider = call.provider
    where = say_where(provider)
    if call.dialect is Dialect.TEXT:
        sentence = missing_key_sentence(provider.label)
    else:
        remedy = ", or ".join(_say_remedies(call, where, has_profiles=has_profiles))
        sentence = f"The gateway has no credential for {provider.label}; {remedy}."
    detail = f"{where} is not set"
    if has_profiles:
        detail += f", nor is {provider.key} of the profile"
    return CredentialNotFoundError(sentence, detail=detail)


def _say_remedies(call: Call, where: str, *, has_profiles: bool) -> Iterator[str]:
    """Where a credential could be set, given where the registry says we look for one."""
    order = call.provider.credential_order
    if OPERATOR in order:
        # Callers must not learn paths on the gateway's machine; those are only for its log.
        where_to = where if FILE_PREFIX not in where else "what the registry names"
        yield f"its operator can set {where_to}"
    if has_profiles and "profile" in order:
        yield "you can set one in your profile"
    elif OPERATOR not in order:
        yield "its operator " + (
            "can set one for your tenant"
            if has_profiles
            else "can configure `profiles` in gateway.yaml, where it is looked for"
        )
