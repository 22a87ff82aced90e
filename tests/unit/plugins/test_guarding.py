"""A middleware of an operator's, wrapped; its mistakes in a whole chain: tests/faults."""

import asyncio
import contextlib
import gc
import weakref

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.typedefs import Handler, Middleware

from gateway.core.errors import InvalidRequestError, PluginFailedError
from gateway.plugins.api import RESPONSE_HEADERS
from gateway.plugins.guarding import guard
from gateway.plugins.loading import name_of

LIMIT_S = 0.05


@web.middleware
async def pass_on(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do nothing."""
    return await handler(request)


@web.middleware
async def wrap(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make another error of what comes from further in."""
    try:
        return await handler(request)
    except ValueError as error:
        raise KeyError("its own") from error


@web.middleware
async def hand_over(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Leave the handler to a task, and answer by itself."""
    LEFT.append(asyncio.ensure_future(handler(request)))
    return web.Response(text="mine")


LEFT: list[asyncio.Future[web.StreamResponse]] = []


async def answer(_: web.Request) -> web.StreamResponse:
    """What is further in."""
    return web.Response(text="further in")


def call(middleware: object, handler: Handler = answer) -> "asyncio.Future[web.StreamResponse]":
    """Call a middleware as the chain does."""
    assert callable(middleware)
    guarded = guard(middleware, "mine", timeout_s=LIMIT_S)
    return asyncio.ensure_future(guarded(make_mocked_request("GET", "/"), handler))


async def test_it_is_a_middleware_of_the_same_name() -> None:
    """Names and marks: aiohttp looks at the mark, and the chain at the name."""
    guarded = guard(pass_on, "pass_on", timeout_s=LIMIT_S)

    assert name_of(guarded) == "pass_on"
    assert getattr(guarded, "__middleware_version__", None) == 1


@pytest.mark.parametrize(
    "error",
    [ValueError("ours"), InvalidRequestError("theirs"), web.HTTPForbidden(), ConnectionError()],
)
async def test_what_comes_from_further_in_is_nobody_elses_mistake(error: Exception) -> None:
    """The log would send whoever reads it to the wrong file."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise error

    with pytest.raises(type(error)) as raised:
        await call(pass_on, fail)

    assert raised.value is error


async def test_what_a_middleware_makes_of_it_is_its_own() -> None:
    """K08: an exception on the way out, too."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise ValueError

    with pytest.raises(PluginFailedError, match="mine"):
        await call(wrap, fail)


async def test_a_caller_who_leaves_is_no_mistake() -> None:
    """K08: a cancellation passes, whoever it meets."""

    async def wait(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    task = call(pass_on, wait)
    await asyncio.sleep(2 * LIMIT_S)  # longer than the middleware may take

    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@web.middleware
async def ask_in_turn(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Call the handler again when it has answered."""
    await handler(request)
    return await handler(request)


@web.middleware
async def ask_at_once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Call the handler again while it is at work."""
    first, _ = await asyncio.gather(handler(request), handler(request))
    return first


@pytest.mark.parametrize("middleware", [ask_in_turn, ask_at_once], ids=name_of)
async def test_a_handler_is_called_once(middleware: Middleware) -> None:
    """The second call would find the body read or the answer begun: further in, and not here."""
    calls = []

    async def count(request: web.Request) -> web.StreamResponse:
        calls.append(request)
        return await answer(request)

    with structlog.testing.capture_logs() as log, pytest.raises(PluginFailedError, match="mine"):
        await call(middleware, count)

    assert len(calls) == 1
    (line,) = log
    assert (line["event"], line["middleware"]) == ("middleware.failed", "mine")
    assert "called its handler twice" in str(line["exc_info"])


async def test_a_handler_may_outlive_its_middleware() -> None:
    """A limit that has ended is moved by nobody."""
    response = await call(hand_over)

    assert isinstance(response, web.Response)
    assert response.text == "mine"
    (left,) = LEFT
    LEFT.clear()
    assert (await left).status == 200


@web.middleware
async def add_number(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add a header that cannot be sent."""
    request[RESPONSE_HEADERS]["X-Team"] = 5  # type: ignore[assignment]
    return await handler(request)


@web.middleware
async def mark_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write such a header on the answer."""
    response = await handler(request)
    response.headers["X-Team"] = 5  # type: ignore[assignment]
    return response


@web.middleware
async def fail(_: web.Request, __: Handler) -> web.StreamResponse:
    """Raise."""
    raise ValueError("its own")


@pytest.mark.parametrize("mistake", [add_number, mark_answer, fail], ids=name_of)
async def test_a_mistake_leaves_no_cycle(mistake: Middleware) -> None:
    """What a request holds, its body among it, would stay until the next collection."""
    guarded = guard(mistake, "mine", timeout_s=LIMIT_S)
    request = make_mocked_request("GET", "/")
    request[RESPONSE_HEADERS] = {}
    gone = weakref.ref(request)
    gc.collect()
    gc.disable()

    try:
        with contextlib.suppress(PluginFailedError):
            await guarded(request, answer)
        del request

        assert gone() is None
    finally:
        gc.enable()
