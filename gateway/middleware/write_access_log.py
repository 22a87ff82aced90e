"""Settles the exchange once its response is sent, so that its log line tells the truth.

The rule here: every way out of the handler settles the exchange, with one exception: if the caller
left and the answer is still read to its end, the relay settles it.
"""

import asyncio
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.clock import monotonic
from gateway.core.errors import InternalError, PluginFailedError
from gateway.core.exchange import Exchange, Outcome
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import PREPARED
from gateway.plugins.refusals import FIRST_ERROR, translate_refusal

# nginx's status for a caller who left before the head; it is never sent.
CLIENT_CLOSED_REQUEST = 499
HEAD = "HEAD"


@web.middleware
async def write_access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Settle the exchange with the status that was really sent."""
    exchange = request[EXCHANGE]
    if exchange.outcome is not None:
        # Observers see a settled exchange one loop iteration later; it must not change until then.
        raise RuntimeError("A middleware asks again for what has been answered already.")
    try:
        response = await handler(request)
        _note_response(request, exchange, response)
    except BaseException as error:
        _note_error(request, exchange, error)
        raise
    finally:
        if not exchange.detached:
            ending = exchange.ending or Outcome.FINISHED
            exchange.settle(ending, at=monotonic())
    return response


def settle_unseen(
    request: web.Request, *, response: web.StreamResponse | None, error: BaseException | None
) -> None:
    """Settle an exchange that never reached `write_access_log`.

    That happens if a middleware that the operator placed before it answered by itself, failed, or
    was still running when the caller left.
    """
    exchange = request[EXCHANGE]
    if exchange.outcome is not None or exchange.detached:
        return
    if response is not None:
        _note_response(request, exchange, response)
    elif error is not None:
        _note_error(request, exchange, error)
    exchange.settle(exchange.ending or Outcome.FINISHED, at=monotonic())


def _note_error(request: web.Request, exchange: Exchange, error: BaseException) -> None:
    if isinstance(error, (asyncio.CancelledError, ConnectionError)):
        _note_cancelled(request, exchange)
    elif isinstance(error, web.HTTPException) and request.get(PREPARED) is None:
        exchange.status = error.status  # from a middleware outside `render_errors`
        if error.status >= FIRST_ERROR:
            exchange.error_code = exchange.error_code or translate_refusal(error).code
            exchange.ending = exchange.ending or Outcome.REJECTED
    else:
        if isinstance(error, PluginFailedError):
            exchange.error_code = exchange.error_code or error.code
        _note_broken(request, exchange)


def _note_response(request: web.Request, exchange: Exchange, response: web.StreamResponse) -> None:
    begun = request.get(PREPARED)
    if begun is not None and begun is not response:
        _note_broken(request, exchange)  # `guard_stream` will cut it
        return
    exchange.status = response.status
    if request.method == HEAD:
        exchange.bytes_out = 0  # `Content-Length` is that of the body that HEAD leaves out
    elif not exchange.bytes_out and isinstance(response, web.Response):
        exchange.bytes_out = response.content_length or 0


def _note_broken(request: web.Request, exchange: Exchange) -> None:
    """Note an error or a second response: a begun answer is cut, otherwise the status is 500."""
    begun = request.get(PREPARED)
    exchange.error_code = exchange.error_code or InternalError.code
    if begun is None:
        exchange.status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        exchange.ending = exchange.ending or Outcome.REJECTED
    else:
        exchange.status = begun.status
        exchange.ending = exchange.ending or Outcome.POLICY_STOPPED


def _note_cancelled(request: web.Request, exchange: Exchange) -> None:
    """Note a cancellation: the connection ended, or else something cancelled us by mistake."""
    begun = request.get(PREPARED)
    exchange.status = CLIENT_CLOSED_REQUEST if begun is None else begun.status
    transport = request.transport
    if transport is None or transport.is_closing():
        exchange.ending = exchange.ending or Outcome.CLIENT_GONE
    else:
        exchange.ending = Outcome.POLICY_STOPPED
        exchange.error_code = exchange.error_code or InternalError.code
