"""Middlewares that refuse, or fail in a way that looks like a caller who has left.

The rule here: they do it before the handler is called.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tests.plugins.saboteurs import SABOTAGE

SENTENCE = "Ask the team that owns this."
MADE_ONCE = web.Response(text=SENTENCE)


@web.middleware
async def refuse_not_found(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse with a class that aiohttp raises as well."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    raise web.HTTPNotFound(text=SENTENCE)


@web.middleware
async def refuse_for_now(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse with a header that says when to come back."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    raise web.HTTPServiceUnavailable(text=SENTENCE, headers={"Retry-After": "7"})


@web.middleware
async def return_not_found(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse as older code does: aiohttp's errors are responses as well."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    return web.HTTPNotFound(text=SENTENCE)


@web.middleware
async def ask_nobody(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Need a server that is not there."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    await asyncio.open_connection("127.0.0.1", 1)
    raise AssertionError


@web.middleware
async def wait_for_cancelled(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Wait for a task that somebody else has cancelled."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    task = asyncio.ensure_future(asyncio.Event().wait())
    task.cancel()
    await task
    raise AssertionError


@web.middleware
async def answer_with_the_same(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer each request with one response that was made once."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    return MADE_ONCE


REFUSALS: tuple[Middleware, ...] = (refuse_not_found, refuse_for_now, return_not_found)
LONELY: tuple[Middleware, ...] = (ask_nobody, wait_for_cancelled)
