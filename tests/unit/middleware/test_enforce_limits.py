"""The place for limits holds what it promises."""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.app import CHAIN
from gateway.middleware.enforce_limits import enforce_limits
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL
from tests.plugins.chain import StartChain

CHAT = b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":"Hi"}]}'


async def test_everything_is_known_where_it_stands(start_chain: StartChain) -> None:
    """A middleware of an operator's own, set after it, decides by these."""
    seen = []

    @web.middleware
    async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
        principal = request[EXCHANGE].principal
        seen.append((principal is not None, request[CALL].model, CREDENTIAL in request))
        return await handler(request)

    chain = await start_chain(chain=(*CHAIN, look))

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT)

    assert (reply.status, seen) == (200, [(True, "m", True)])
    assert CHAIN[-1] is enforce_limits
