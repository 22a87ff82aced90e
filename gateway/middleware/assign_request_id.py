"""Opens the exchange: an id, a start time, and the record that the rest of the chain fills in.

The rule here: a caller's own id is used only if it is harmless in a header, a log line and a file
name, and is not a credential that somebody put into the wrong header.
"""

from typing import Never

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import istr

from gateway.core.clock import monotonic
from gateway.core.credential_shapes import holds_issued
from gateway.core.dialect import dialect_of_path
from gateway.core.exchange import Exchange, Observer
from gateway.core.request_id import is_request_id, new_request_id
from gateway.middleware.write_access_log import settle_unseen
from gateway.plugins.api import EXCHANGE, RESPONSE_HEADERS
from gateway.telemetry.in_flight import InFlight
from gateway.wire.fixed_headers import FIXED_HEADERS
from gateway.wire.forwarded import UNKNOWN, TrustedProxies, name_peer

OBSERVERS: web.AppKey[tuple[Observer, ...]] = web.AppKey("observers", tuple)
"""Who is told when an exchange is settled; set by `app`."""

IN_FLIGHT: web.AppKey[InFlight] = web.AppKey("in_flight", InFlight)
"""Counts exchanges in, and as one of the observers out again; set by `app`."""

PROXIES: web.AppKey[TrustedProxies | None] = web.AppKey("proxies", TrustedProxies)
"""Set by `app`; None where `server.trusted_proxies` names none."""

REQUEST_ID = istr("X-Request-ID")
MAX_PATH_CHARS = 512


@web.middleware
async def assign_request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and its record."""
    app = request.app
    given = request.headers.get(REQUEST_ID, "")
    is_usable = is_request_id(given) and not holds_issued(given)
    request_id = given if is_usable else new_request_id()
    path = request.raw_path.partition("?")[0]  # the query may hold secrets: never log it
    peer = client_address = name_peer(request.remote)
    proxies = app[PROXIES]
    if proxies is not None:
        client_address = proxies.find_client(peer, request.headers)
    request[EXCHANGE] = Exchange(
        request_id=request_id,
        started_at=monotonic(),
        method=request.method,
        path=path[:MAX_PATH_CHARS] if path.startswith("/") else "",
        client_address=client_address,
        observers=app[OBSERVERS],
        dialect=dialect_of_path(path),
    )
    request[RESPONSE_HEADERS] = {**FIXED_HEADERS, REQUEST_ID: request_id}
    app[IN_FLIGHT].count_in()
    try:
        if peer == UNKNOWN:
            _end_connection(request)
        response = await handler(request)
    except BaseException as error:
        settle_unseen(request, response=None, error=error)
        raise
    settle_unseen(request, response=response, error=None)
    return response


def _end_connection(request: web.Request) -> Never:
    """Raise that the caller has left, which the loop would notice only a moment later.

    Going on would end in a refusal as unknown, because a caller who left has no address.
    """
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("The caller left before the connection was accepted.")


async def add_response_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the chain's headers to a response before its head is sent (`on_response_prepare`).

    For streams there is no other time: their head is sent long before their handler returns.
    """
    headers = response.headers
    cache_control = headers.get("Cache-Control")
    headers.update(request.get(RESPONSE_HEADERS, FIXED_HEADERS))
    if cache_control is not None:  # a stream's own value says more than no-store
        headers["Cache-Control"] = cache_control
