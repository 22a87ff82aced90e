"""Outermost: a response that has begun either finishes or is cut; another never follows it.

The rule here: aiohttp writes whatever a middleware returns, even into the body of a stream in
progress, and ends it cleanly (measured), which a caller takes for the end of the answer. So if
anything but the response that has begun comes out of the chain, the connection is aborted.
"""

import asyncio

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler

from gateway.core.tcp_reset import reset_on_close
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import PREPARED

_log = structlog.get_logger()


async def note_prepared(request: web.Request, response: web.StreamResponse) -> None:
    """Remember which response has begun, and refuse a second one (`on_response_prepare`).

    aiohttp calls this for every response of every class before it writes the head, so it does not
    matter whether the relay, a handler or an operator's middleware prepared it.
    """
    if request.get(PREPARED) is not None:
        raise RuntimeError("A response has begun for this request; there is no second one.")
    request[PREPARED] = response


@web.middleware
async def guard_stream(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a response through unless another one has begun."""
    # The connections of our own listener have a deadline for the first head; aiohttp's do not.
    request_arrived = getattr(request.protocol, "request_arrived", None)
    if request_arrived is not None:
        request_arrived()
    request[PREPARED] = None
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        if request[PREPARED] is not None:  # does nothing if the caller has left
            _cut_off(request)
        raise
    except Exception as error:
        # One of the few places that catch everything. After the head we can only cut the
        # connection; before it aiohttp answers the error.
        begun = request[PREPARED]
        if begun is None:
            raise
        return _refuse(request, begun, error)
    else:
        begun = request[PREPARED]
        if begun is None or begun is response:
            return response
        return _refuse(request, begun, None)
    finally:
        # A response that was cut still refers to its request: a cycle, which would keep the body.
        request[PREPARED] = None


def _refuse(
    request: web.Request, begun: web.StreamResponse, error: Exception | None
) -> web.StreamResponse:
    """Cut the connection and log why; aiohttp finds it closed and writes nothing more."""
    transport = request.transport
    is_there = transport is not None and not transport.is_closing()
    _cut_off(request)
    # A connection error on a connection that has already ended is not worth a line.
    if is_there or not isinstance(error, ConnectionError):
        exchange = request.get(EXCHANGE)
        _log.error(
            "stream.cut",
            request_id=None if exchange is None else exchange.request_id,
            reason="an error after the head" if error else "a second response after the head",
            exc_info=error,
        )
    return begun


def _cut_off(request: web.Request) -> None:
    transport = request.transport
    if transport is None or transport.is_closing():
        return
    peer = transport.get_extra_info("socket")
    if request.version < HttpVersion11 and peer is not None:
        # nginx takes a plain FIN for the clean end of an HTTP/1.0 answer (measured).
        reset_on_close(peer)
    transport.abort()
