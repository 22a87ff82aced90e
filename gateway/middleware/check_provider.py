"""Refuses a call to a failing provider before the request counts against any limit.

The rule here: this only looks. The relay decides about each attempt itself, but a request refused
there has already used up one of its caller's requests per minute.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL
from gateway.upstream.upstreams import UPSTREAMS


@web.middleware
async def check_provider(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a call to a provider or model that fails nearly every time; other requests pass."""
    call = request.get(CALL)
    if call is not None:
        request.app[UPSTREAMS].check(call.provider, request[EXCHANGE].model)
    return await handler(request)
