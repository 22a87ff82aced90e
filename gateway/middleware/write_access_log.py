"""Settles the exchange when its response is out, so that the one log line tells the truth.

The rule here: every way out of the handler settles, except one: a caller who left while the
answer is read to its end. That exchange is settled by the relay.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.exchange import Exchange, Outcome
from gateway.middleware.guard_stream import PREPARED
from gateway.plugins.api import EXCHANGE

# nginx's number for a caller who left before the head; it is never sent.
CLIENT_CLOSED_REQUEST = 499


@web.middleware
async def write_access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Settle the exchange with the status that really went out."""
    exchange = request[EXCHANGE]
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        exchange.status = _sent_status(request)
        _settle(exchange, Outcome.CLIENT_GONE)
        raise
    except ConnectionError:
        exchange.status = _sent_status(request)
        _settle(exchange, Outcome.CLIENT_GONE)
        raise
    except Exception:
        exchange.status = _sent_status(request)
        exchange.error_code = exchange.error_code or "internal_error"
        _settle(exchange, Outcome.POLICY_STOPPED)
        raise
    exchange.status = response.status
    if not exchange.bytes_out and isinstance(response, web.Response):
        exchange.bytes_out = response.content_length or 0
    _settle(exchange, exchange.ending or Outcome.FINISHED)
    return response


def _sent_status(request: web.Request) -> int:
    begun = request.get(PREPARED)
    return CLIENT_CLOSED_REQUEST if begun is None else begun.status


def _settle(exchange: Exchange, outcome: Outcome) -> None:
    if not exchange.detached:
        exchange.settle(outcome, at=asyncio.get_running_loop().time())
