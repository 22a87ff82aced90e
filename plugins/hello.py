"""An example of a middleware: says in a header who the gateway takes the caller for.

The rule here: a head may be gone before the handler returns, so headers are added beforehand.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.plugins.api import EXCHANGE, RESPONSE_HEADERS


@web.middleware
async def stamp(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add `X-Hello: <principal>` to the answer."""
    principal = request[EXCHANGE].principal
    request[RESPONSE_HEADERS]["X-Hello"] = "nobody" if principal is None else principal.name
    return await handler(request)
