"""Which web pages of other origins may call from a browser.

The rule here: an exact allow-list, empty unless written out; never `*`, never with cookies.
"""

import re
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.errors import OriginRefusedError
from gateway.plugins.api import RESPONSE_HEADERS
from gateway.plugins.keys import SETTINGS

# The headers that a page may ask to send: a list of names, as long as any SDK needs.
_HEADER_NAMES = re.compile(
    r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}(?:, ?[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}){0,63}"
)
_DEFAULT_HEADERS = "authorization, content-type, x-api-key, x-request-id"
_EXPOSED = "Retry-After, X-Request-ID, x-should-retry"
_PREFLIGHT_AGE_S = "600"


@web.middleware
async def allow_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights, and mark responses that a listed origin may read."""
    origins = request.headers.getall("Origin", ())
    allowed = request.app[SETTINGS].server.cors_origins
    if allowed:
        request[RESPONSE_HEADERS]["Vary"] = "Origin"
    if not origins:
        return await handler(request)
    is_listed = len(origins) == 1 and origins[0] in allowed
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        if not is_listed:
            raise OriginRefusedError(
                "This origin is not among `server.cors_origins` in gateway.yaml."
            )
        return _answer_preflight(request, origins[0])
    if is_listed:
        request[RESPONSE_HEADERS]["Access-Control-Allow-Origin"] = origins[0]
        request[RESPONSE_HEADERS]["Access-Control-Expose-Headers"] = _EXPOSED
    # The browser shows the answer to no other origin, and a page of the same origin needs no mark.
    return await handler(request)


def _answer_preflight(request: web.Request, origin: str) -> web.Response:
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    # The origin is trusted by name, so it may send whatever its SDK sends. Only headers on the
    # allow-list for requests go upstream anyway.
    names = wanted if _HEADER_NAMES.fullmatch(wanted) else _DEFAULT_HEADERS
    return web.Response(
        status=HTTPStatus.NO_CONTENT,
        headers={
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
            "Access-Control-Allow-Headers": names,
            "Access-Control-Max-Age": _PREFLIGHT_AGE_S,
        },
    )
