"""Is the provider asked at all just now: refuses before anything is taken for the request.

The rule here: this only looks. Whether an attempt is made is decided by the relay, each time; but a
request that is refused there has already cost its caller one of the requests of a minute.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL
from gateway.upstream.upstreams import UPSTREAMS


@web.middleware
async def check_provider(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a call to what has failed nearly every time; other requests pass."""
    call = request.get(CALL)
    if call is not None:
        request.app[UPSTREAMS].check(call.provider, request[EXCHANGE].model)
    return await handler(request)
