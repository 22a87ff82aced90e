"""Middlewares as nobody should write them, to be named in gateway.yaml.

The rule here: each makes one mistake, and makes it after the answer has begun; a request that does
not say `X-Sabotage` passes all of them untouched.
"""

import asyncio
import sys

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.core.errors import InvalidRequestError
from gateway.plugins.api import RESPONSE_HEADERS
from gateway.plugins.keys import PREPARED

SABOTAGE = "X-Sabotage"


async def _begin(request: web.Request, handler: Handler) -> asyncio.Task[web.StreamResponse]:
    """Let the handler run until its head is out; it goes on."""
    task = asyncio.ensure_future(handler(request))
    while request.get(PREPARED) is None and not task.done():  # noqa: ASYNC110 - a head tells nobody
        await asyncio.sleep(0)
    return task


async def _stop(task: asyncio.Task[web.StreamResponse]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@web.middleware
async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise in the middle of the answer."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    await _stop(await _begin(request, handler))
    raise ValueError("a bug")


@web.middleware
async def fail_afterwards(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise when all of the answer is out but its end."""
    response = await handler(request)
    if SABOTAGE in request.headers:
        raise ValueError("a bug")
    return response


@web.middleware
async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise an error with a status in the middle of the answer."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    await _stop(await _begin(request, handler))
    raise InvalidRequestError("too late")


@web.middleware
async def refuse_like_aiohttp(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise an error of the framework's own, with a status."""
    response = await handler(request)
    if SABOTAGE in request.headers:
        raise web.HTTPForbidden
    return response


@web.middleware
async def answer_again(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give another answer in place of the one that was sent."""
    response = await handler(request)
    return web.json_response({"again": True}) if SABOTAGE in request.headers else response


@web.middleware
async def answer_twice(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Prepare another answer in the middle of the first."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    task = await _begin(request, handler)
    second = web.StreamResponse()
    try:
        await second.prepare(request)
        await second.write(b"again")
    finally:
        await _stop(task)
    return second


@web.middleware
async def give_up_and_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stop the handler in the middle and say so in a new answer, as a time limit would."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    await _stop(await _begin(request, handler))
    return web.json_response({"again": "timed out"}, status=504)


@web.middleware
async def return_nothing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Forget the `return`."""
    response = await handler(request)
    return None if SABOTAGE in request.headers else response  # type: ignore[return-value]


@web.middleware
async def ask_twice(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Call the handler a second time, as a retry would."""
    response = await handler(request)
    return await handler(request) if SABOTAGE in request.headers else response


@web.middleware
async def read_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read what `read_request` is to read."""
    if SABOTAGE in request.headers:
        await request.read()
    return await handler(request)


@web.middleware
async def ask_twice_at_once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Call the handler twice and take the first answer, as somebody in a hurry would."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    first, _ = await asyncio.gather(handler(request), handler(request))
    return first


@web.middleware
async def swallow_cancellation(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take a caller who left for an error and answer it."""
    try:
        return await handler(request)
    except asyncio.CancelledError:
        return web.json_response({"again": "never mind"})


@web.middleware
async def cancel_itself(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise what passes every `except Exception`."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    await _stop(await _begin(request, handler))
    raise asyncio.CancelledError


@web.middleware
async def leave_python(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the process for a script of one's own."""
    if SABOTAGE in request.headers:
        sys.exit(3)
    return await handler(request)


@web.middleware
async def hang(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Wait for what never comes, before the handler."""
    if SABOTAGE in request.headers:
        await asyncio.Event().wait()
    return await handler(request)


@web.middleware
async def hang_afterwards(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Wait for what never comes, after the handler."""
    response = await handler(request)
    if SABOTAGE in request.headers:
        await asyncio.Event().wait()
    return response


@web.middleware
async def leave_a_task(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Start something that never ends, and think no more of it."""
    LEFT.append(asyncio.ensure_future(asyncio.Event().wait()))
    return await handler(request)


@web.middleware
async def add_number(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take a header's value for anything that can be printed."""
    if SABOTAGE in request.headers:
        request[RESPONSE_HEADERS]["X-Team"] = 5  # type: ignore[assignment]
    return await handler(request)


@web.middleware
async def add_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pass on what a caller may have written."""
    if SABOTAGE in request.headers:
        request[RESPONSE_HEADERS]["X-Team"] = "a\r\nSet-Cookie: b"
    return await handler(request)


@web.middleware
async def add_nameless(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have a name from a setting that is empty."""
    if SABOTAGE in request.headers:
        request[RESPONSE_HEADERS][""] = "a"
    return await handler(request)


@web.middleware
async def add_length(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say how long an answer is that somebody else writes."""
    if SABOTAGE in request.headers:
        request[RESPONSE_HEADERS]["Content-Length"] = "5"
    return await handler(request)


@web.middleware
async def add_nothing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put something else in the place of the headers."""
    if SABOTAGE in request.headers:
        request[RESPONSE_HEADERS] = None  # type: ignore[assignment]
    return await handler(request)


@web.middleware
async def add_number_and_refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add a header to a refusal, wrongly."""
    if SABOTAGE in request.headers:
        request[RESPONSE_HEADERS]["X-Team"] = 5  # type: ignore[assignment]
        raise web.HTTPForbidden(text="not you")
    return await handler(request)


@web.middleware
async def add_number_and_redirect(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add a header to a redirect, wrongly."""
    if SABOTAGE in request.headers:
        redirect = web.HTTPFound("/elsewhere")
        redirect.headers["X-Team"] = 5  # type: ignore[assignment]
        raise redirect
    return await handler(request)


@web.middleware
async def add_number_afterwards(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add a header when the handler has returned, wrongly."""
    response = await handler(request)
    if SABOTAGE in request.headers:
        request[RESPONSE_HEADERS]["X-Team"] = 5  # type: ignore[assignment]
    return response


@web.middleware
async def mark_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write a header on the answer itself, wrongly."""
    response = await handler(request)
    if SABOTAGE in request.headers:
        response.headers["X-Team"] = 5  # type: ignore[assignment]
    return response


@web.middleware
async def answer_beside_a_copy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pass on a copy of the request, and give another answer in place of what that was given."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    await handler(request.clone(headers={**request.headers, "X-Team": "sales"}))
    return web.json_response({"again": True})


@web.middleware
async def fail_beside_a_copy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise while the answer to a copy of the request is under way."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    copy = request.clone()
    await _begin(copy, handler)
    raise ValueError("a bug")


@web.middleware
async def ask_with_two_copies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Call the handler a second time, with another copy."""
    if SABOTAGE not in request.headers:
        return await handler(request)
    copies = [request.clone(), request.clone()]
    return [await handler(copy) for copy in copies][-1]


@web.middleware
async def change_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write into the body of an answer whose beginning is out."""
    response = await handler(request)
    if SABOTAGE in request.headers and isinstance(response, web.Response):
        response.text = "again"
    return response


LEFT: list[asyncio.Future[bool]] = []

# Made before the handler is called.
WRONG_HEADERS: tuple[Middleware, ...] = (
    add_number,
    add_line,
    add_nameless,
    add_length,
    add_nothing,
    add_number_and_refuse,
    add_number_and_redirect,
)
WRONG_HEADERS_AFTERWARDS: tuple[Middleware, ...] = (add_number_afterwards, mark_answer)

# HTTP/1.0 answers have no body of aiohttp's, so this is none there.
CHUNKED_MISTAKES: tuple[Middleware, ...] = (change_body,)

MISTAKES: tuple[Middleware, ...] = (
    fail,
    fail_afterwards,
    refuse,
    refuse_like_aiohttp,
    answer_again,
    answer_twice,
    give_up_and_answer,
    return_nothing,
    ask_twice,
    cancel_itself,
    answer_beside_a_copy,
    fail_beside_a_copy,
    ask_with_two_copies,
)
