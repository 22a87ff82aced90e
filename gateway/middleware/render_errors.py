"""Turns errors raised further in into a response in the caller's dialect.

The rule here: callers read only `GatewayError.public`. Any other exception is an internal error,
whose text goes only to the log.
"""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.credential import is_callers_own
from gateway.core.dialect import Dialect
from gateway.core.errors import (
    BodyTooLargeError,
    DownstreamError,
    GatewayError,
    InternalError,
    InvalidPathError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    RequestTimeoutError,
    UnsupportedEncodingError,
    UpstreamError,
)
from gateway.core.exchange import Exchange, Outcome
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, PREPARED
from gateway.plugins.refusals import BY_OPERATOR, translate_refusal
from gateway.wire.render_errors import render_openai, render_text

CLIENT_ERROR = 400

# After these the request was not read to its end or not understood, so we cannot trust that the
# next bytes on the connection are another request.
_CLOSES_CONNECTION = (
    BodyTooLargeError,
    InvalidPathError,
    MalformedRequestError,
    OverloadedError,
    RequestTimeoutError,
    UnsupportedEncodingError,
)

_log = structlog.get_logger()


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an error instead of raising one."""
    try:
        response = _check_response(await handler(request))
    except GatewayError as error:
        failure = error
    except web.HTTPException as error:
        if error.status < CLIENT_ERROR:  # a redirect by an operator's middleware
            raise
        failure = translate(error)
    except Exception as error:
        if isinstance(error, ConnectionError) and _has_left(request):
            raise
        failure = _report_crash(request[EXCHANGE], error)
    else:
        return response
    # The traceback refers to this frame and to those that hold the body. Break the cycle, or all of
    # it stays in memory until the next garbage collection.
    failure.__traceback__ = None
    try:
        is_begun = request.get(PREPARED) is not None
        _note(request[EXCHANGE], failure, is_begun=is_begun)
        if is_begun:
            raise failure  # too late for a response: `guard_stream` cuts the connection
        return _render(request, failure)
    finally:
        del failure


def translate(error: web.HTTPException) -> GatewayError:
    """Turn aiohttp's own errors into ours, because its messages quote the request."""
    if error.get(BY_OPERATOR):
        return translate_refusal(error)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return MethodNotAllowedError(f"This path accepts {allowed}.", headers={"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return BodyTooLargeError("The body is too large.")
    if isinstance(error, web.HTTPNotFound):
        return NotFoundError("There is nothing at this path.")
    return translate_refusal(error)


def _check_response(returned: object) -> web.StreamResponse:
    if isinstance(returned, web.StreamResponse):
        return returned
    raise TypeError(f"A handler returned {type(returned).__name__}, not a response.")


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _report_crash(exchange: Exchange, error: Exception) -> InternalError:
    _log.error("request.crashed", request_id=exchange.request_id, exc_info=error)
    return InternalError(
        "The gateway failed; the request id helps its operator find out why.",
        detail=type(error).__name__,
    )


def _note(exchange: Exchange, failure: GatewayError, *, is_begun: bool) -> None:
    exchange.error_code = failure.code
    exchange.error_detail = failure.detail or failure.public
    if isinstance(failure, UpstreamError):
        exchange.ending = Outcome.UPSTREAM_FAILED
    else:
        # A limit may end an answer before the caller has seen any of it.
        is_stopped = is_begun or (exchange.attempts > 0 and bool(exchange.refused_by))
        exchange.ending = Outcome.POLICY_STOPPED if is_stopped else Outcome.REJECTED


def _render(request: web.Request, failure: GatewayError) -> web.Response:
    exchange = request[EXCHANGE]
    headers = dict(failure.headers)
    if not isinstance(failure, DownstreamError):
        # SDKs retry 408, 409, 429 and 5xx by themselves, and three tries of theirs times three of
        # ours would be nine. A DownstreamError was not retried by us, so there they may.
        headers["x-should-retry"] = "false"
    if exchange.dialect is Dialect.OPENAI:
        is_own = is_callers_own(exchange.credential_id)
        body = render_openai(failure, exchange.request_id, is_own=is_own)
    else:
        call = request.get(CALL)
        body = render_text(
            failure,
            exchange.request_id,
            provider_label=call.provider.label if call is not None else "",
            incorrect_key=call.provider.incorrect_key if call is not None else "status",
        )
    response = web.Response(
        body=body,
        status=failure.status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )
    if isinstance(failure, _CLOSES_CONNECTION):
        response.force_close()
    return response
