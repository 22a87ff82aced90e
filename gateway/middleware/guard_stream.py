"""Outermost: a response that has begun is finished by itself or cut, never followed by another.

The rule here: aiohttp writes whatever a middleware returns, even into the body of a stream that
is under way, and ends it cleanly (measured). So when anything but the begun response comes out
of the chain, the connection is aborted.
"""

import socket
import struct

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler

PREPARED: web.RequestKey[web.StreamResponse] = web.RequestKey("prepared", web.StreamResponse)
"""The response whose head has been sent; set by `note_prepared` for every handler's response."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_log = structlog.get_logger()


async def note_prepared(request: web.Request, response: web.StreamResponse) -> None:
    """Remember which response has begun; a signal, so that operators' responses count too."""
    request[PREPARED] = response


@web.middleware
async def guard_stream(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a response through unless another one has begun."""
    try:
        response = await handler(request)
    except Exception as error:
        begun = _find_begun(request)
        if begun is None:
            raise
        _cut(request, reason=f"{type(error).__name__} after the head was sent", error=error)
        return begun
    begun = _find_begun(request)
    if begun is None or begun is response:
        return response
    _cut(request, reason="a second response after the head was sent", error=None)
    return begun


def _find_begun(request: web.Request) -> web.StreamResponse | None:
    return request.get(PREPARED)


def _cut(request: web.Request, *, reason: str, error: Exception | None) -> None:
    _log.error("stream.cut", reason=reason, path=request.path, exc_info=error)
    transport = request.transport
    if transport is None:
        return
    if request.version < HttpVersion11:
        # nginx takes a mere FIN from an HTTP/1.0 answer for its clean end (measured).
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
