"""Turns what is raised further in into one response, in the caller's dialect.

The rule here: what callers read comes from `GatewayError.public`; whatever else was raised is
an internal error whose text goes to the log alone.
"""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.dialect import Dialect
from gateway.core.errors import (
    BodyTooLargeError,
    DownstreamError,
    GatewayError,
    InternalError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    UpstreamError,
)
from gateway.core.exchange import Exchange, Outcome
from gateway.middleware.guard_stream import PREPARED
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL
from gateway.wire.render_errors import render_openai, render_text

_log = structlog.get_logger()


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an error instead of raising one."""
    try:
        return await handler(request)
    except GatewayError as error:
        if PREPARED in request:
            raise
        return _render(request, error)
    except web.HTTPException as error:
        if PREPARED in request or error.status < 400:  # noqa: PLR2004 - no error
            raise
        return _render(request, translate(error))
    except ConnectionError:
        raise  # the caller left
    except Exception as error:
        if PREPARED in request:
            raise
        _log.error("request.crashed", path=request.path, exc_info=error)
        crash = InternalError(
            "The gateway made a mistake; the request id helps its operator to find it.",
            detail=type(error).__name__,
        )
        return _render(request, crash)


def translate(error: web.HTTPException) -> GatewayError:
    """The errors of aiohttp itself as ours."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return MethodNotAllowedError(f"This path takes {allowed}.", headers={"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return BodyTooLargeError("The body is too large.")
    if isinstance(error, web.HTTPNotFound):
        return NotFoundError("There is nothing at this path.")
    translated = InvalidRequestError(f"{error.reason}.")
    translated.status = error.status
    return translated


def _render(request: web.Request, error: GatewayError) -> web.Response:
    exchange = request[EXCHANGE]
    _note(exchange, error)
    headers = dict(error.headers)
    if not isinstance(error, DownstreamError):
        # We have retried what was worth it; an SDK that retries too would multiply ours.
        headers["x-should-retry"] = "false"
    if exchange.dialect is Dialect.OPENAI:
        body = render_openai(error, exchange.request_id)
    else:
        call = request.get(CALL)
        body = render_text(
            error,
            exchange.request_id,
            provider_label=call.provider.label if call is not None else "",
            incorrect_key=call.provider.incorrect_key if call is not None else "status",
        )
    return web.Response(
        body=body,
        status=error.status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def _note(exchange: Exchange, error: GatewayError) -> None:
    exchange.error_code = error.code
    exchange.error_detail = error.detail or ""
    exchange.ending = (
        Outcome.UPSTREAM_FAILED if isinstance(error, UpstreamError) else Outcome.REJECTED
    )
