"""What we show the provider: the credential for this call.

The rule here: a credential is handed on wrapped; it is looked at nowhere in the chain.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.config.credentials import say_where
from gateway.core.dialect import Dialect
from gateway.core.errors import CredentialNotFoundError
from gateway.credentials.pools import POOLS
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL, Call
from gateway.wire.render_errors import missing_key_sentence


@web.middleware
async def check_key(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find the credential of the provider that is called; refuse when it needs one."""
    call = request.get(CALL)
    if call is not None:
        credential = request.app[POOLS].take(request[EXCHANGE], call)
        if credential is None and call.provider.auth.required:
            where = say_where(call.provider)
            raise CredentialNotFoundError(_explain(call, where), detail=f"{where} is not set")
        request[CREDENTIAL] = credential
    return await handler(request)


def _explain(call: Call, where: str) -> str:
    if call.dialect is Dialect.TEXT:
        return missing_key_sentence(call.provider.label)
    return f"The gateway has no credential for {call.provider.label}; whoever runs it sets {where}."
