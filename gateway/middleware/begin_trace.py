"""Begins the trace of an exchange; part of the chain where there is tracing, and only there.

The rule here: whoever calls without a trace, or with one that is not well formed, begins a new one.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.plugins.api import EXCHANGE
from gateway.telemetry.tracing.tracer import Tracer

TRACER: web.AppKey[Tracer] = web.AppKey("tracer", Tracer)
"""Set by `app` where there is tracing."""


@web.middleware
async def begin_trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the exchange its place in a trace."""
    resource = request.match_info.route.resource
    request[EXCHANGE].trace = request.app[TRACER].begin(
        request.headers.items() if "traceparent" in request.headers else (),
        route="" if resource is None else resource.canonical,
    )
    return await handler(request)
