"""An example of a middleware: adds a header with the caller's name.

The rule here: the headers may be sent before the handler returns, so they are added beforehand.
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
