"""Begins the trace of an exchange; in the chain only if tracing is on.

The rule here: a request without a trace, or with a malformed one, begins a new trace.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.plugins.api import EXCHANGE
from gateway.telemetry.tracing.tracer import Tracer

TRACER: web.AppKey[Tracer] = web.AppKey("tracer", Tracer)
"""Set by `app` where there is tracing."""


@web.middleware
async def begin_trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make the exchange part of a trace."""
    resource = request.match_info.route.resource
    request[EXCHANGE].trace = request.app[TRACER].begin(
        request.headers.items() if "traceparent" in request.headers else (),
        route="" if resource is None else resource.canonical,
    )
    return await handler(request)
