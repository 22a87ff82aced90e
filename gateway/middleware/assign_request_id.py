"""Opens the exchange: an id, a start time, and the record that every line below fills in.

The rule here: an incoming id is taken over only when it is harmless in a header, a log line and
a file name.
"""

import asyncio
import re
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.dialect import dialect_of_path
from gateway.core.exchange import Exchange, Observer
from gateway.plugins.api import EXCHANGE, RESPONSE_HEADERS

OBSERVERS: web.AppKey[tuple[Observer, ...]] = web.AppKey("observers", tuple)
"""Who is told when an exchange is settled; set by `app`."""

_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ID_BYTES = 16

EVERY_RESPONSE = {"Server": "chat-gateway", "X-Content-Type-Options": "nosniff"}


@web.middleware
async def assign_request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and its record."""
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _HARMLESS.fullmatch(given) else secrets.token_hex(_ID_BYTES)
    path = request.path
    request[EXCHANGE] = Exchange(
        request_id=request_id,
        started_at=asyncio.get_running_loop().time(),
        method=request.method,
        path=path,
        client_address=request.remote or "unix",
        observers=request.app[OBSERVERS],
        dialect=dialect_of_path(path),
    )
    request[RESPONSE_HEADERS] = {"X-Request-ID": request_id, **EVERY_RESPONSE}
    return await handler(request)


async def add_response_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Write what the chain has to say on a head before it leaves, a stream's too; a signal."""
    response.headers.update(request[RESPONSE_HEADERS])
    response.headers.setdefault("Cache-Control", "no-store")
