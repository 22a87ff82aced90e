"""An operator's middleware, so wrapped that its mistake is one request's and nobody else's.

The rule here: what comes from further in passes as it is; only what the middleware itself does
wrong is turned into an error, which names it.
"""

import asyncio
import functools

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.core.errors import GatewayError, PluginFailedError
from gateway.plugins.api import EXCHANGE
from gateway.plugins.copies import link_copy, unlink_copy
from gateway.plugins.heads import HeaderError, HeadWatch
from gateway.plugins.keys import HELD_BODY, PREPARED, RELAYED_ROUTES
from gateway.plugins.refusals import BY_OPERATOR

SENTENCE = "A middleware of this gateway's operator failed: {name}. The log has the reason."
BODY_TAKEN = (
    "It read the body, and nothing is left of it; a middleware that stands `after: read_request` "
    "gets the messages from read_messages."
)

# A connection that broke is judged where it is known who broke it.
_NOBODY_THERE = (asyncio.CancelledError, ConnectionError, GeneratorExit)
# What a middleware may raise.
_NO_MISTAKES = (GatewayError, web.HTTPException)

_log = structlog.get_logger()


def guard(middleware: Middleware, name: str, *, timeout_s: float) -> Middleware:
    """The same middleware; its time limit stands still while those further in work."""

    @functools.wraps(middleware)
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        limit = _Limit(timeout_s)
        head = HeadWatch(request)
        rest = _Rest(request, handler, limit, head)
        try:
            async with limit.timeout:
                response = _check(await middleware(request, rest.handle), request, head)
            return _examine(request, name, response, head)
        except BaseException as error:
            # Also what would end the loop, and everybody's streams with it: `sys.exit()`.
            failure = _find_failure(request, name, error, head, is_own=error is not rest.error)
            if failure is None:
                raise
            raise failure from None
        finally:
            rest.error = failure = None  # their tracebacks hold this frame: a cycle

    return guarded


class _Rest:
    """The rest of the chain, as the middleware of one request is given it."""

    def __init__(
        self, request: web.Request, handler: Handler, limit: "_Limit", head: HeadWatch
    ) -> None:
        self._request = request
        self._handler = handler
        self._limit = limit
        self._head = head
        self._is_called = False
        self.error: BaseException | None = None  # what came out of it

    async def handle(self, given: web.Request) -> web.StreamResponse:
        """Its answer; the middleware's time stands still meanwhile."""
        if self._is_called:
            # Further in the mistake would be anybody's: the body is read, the answer begun.
            raise RuntimeError("It called its handler twice; each request is handled once.")
        self._is_called = True
        link_copy(given, self._request)
        _judge_so_far(self._request, self._head)
        self._limit.stop()
        try:
            return self._head.note_answer(await self._handler(given))
        except BaseException as error:
            self.error = error
            raise
        finally:
            unlink_copy(given, self._request)
            self._head.keep()
            self._limit.start()


def _refuse(head: HeadWatch, response: web.StreamResponse | None = None) -> None:
    wrong = head.take_back(response)
    if wrong is not None:
        raise HeaderError(wrong)


def _judge_so_far(request: web.Request, head: HeadWatch) -> None:
    """Raise for a header that cannot be sent, or where it has read the body that others are to."""
    _refuse(head)
    if HELD_BODY in request or request.match_info.route.name not in RELAYED_ROUTES:
        return
    if request.content.total_bytes and request.content.at_eof():
        raise RuntimeError(BODY_TAKEN)


def _examine(
    request: web.Request, name: str, response: web.StreamResponse, head: HeadWatch
) -> web.StreamResponse:
    """Raise what is wrong with a head; where it is out, or its log line, that is only reported."""
    if not response.prepared and not _is_settled(request):
        _refuse(head, response)
    elif (wrong := head.take_back(response)) is not None:
        _report(request, name, HeaderError(wrong))
    return response


def _find_failure(
    request: web.Request, name: str, error: BaseException, head: HeadWatch, *, is_own: bool
) -> PluginFailedError | None:
    """What the middleware did wrong where an error came out of it; None if that may pass."""
    own_answer = error if is_own and isinstance(error, web.HTTPException) else None
    wrong = head.take_back(own_answer)
    if isinstance(error, _NOBODY_THERE) and not (is_own and _is_out_of_place(request, error)):
        return None
    if own_answer is not None:
        own_answer[BY_OPERATOR] = True
    if is_own and not isinstance(error, _NO_MISTAKES):
        return _fail(request, name, error)
    if wrong is None:
        return None
    if not _is_settled(request):
        return _fail(request, name, HeaderError(wrong))
    _report(request, name, HeaderError(wrong))
    return None


def _is_out_of_place(request: web.Request, error: BaseException) -> bool:
    """Whether it says that the caller has left, and the caller has not: it is about another."""
    if request.transport is None or request.transport.is_closing():
        return False
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, ConnectionError)


def _is_settled(request: web.Request) -> bool:
    exchange = request.get(EXCHANGE)
    return exchange is not None and exchange.outcome is not None


class _Limit:
    """A time limit that can stand still."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.timeout = asyncio.timeout(timeout_s)

    def stop(self) -> None:
        """Let it stand still."""
        self._move(None)

    def start(self) -> None:
        """Let it run, from its beginning."""
        self._move(asyncio.get_running_loop().time() + self._timeout_s)

    def _move(self, when: float | None) -> None:
        if self.timeout.expired():
            return
        try:
            self.timeout.reschedule(when)
        except RuntimeError:  # the middleware has ended, and the handler goes on in a task of its
            return


def _check(returned: object, request: web.Request, head: HeadWatch) -> web.StreamResponse:
    if isinstance(returned, web.HTTPException):  # both, with aiohttp 3: it means the same
        raise returned
    if not isinstance(returned, web.StreamResponse):
        raise TypeError(f"It returned {type(returned).__name__}, not a response.")
    if not returned.prepared:
        return returned
    begun: web.StreamResponse | None = request.get(PREPARED)
    if begun is not returned:
        # aiohttp would send nothing at all, and the caller wait.
        raise RuntimeError(
            "It returned a response that was already sent; each request needs its own."
        )
    if head.has_other_body(returned):
        raise RuntimeError("It changed the body of an answer that had begun.")
    return returned


def _fail(request: web.Request, name: str, error: BaseException) -> PluginFailedError:
    _report(request, name, error)
    return PluginFailedError(SENTENCE.format(name=name), detail=f"{name}: {type(error).__name__}")


def _report(request: web.Request, name: str, error: BaseException) -> None:
    exchange = request.get(EXCHANGE)
    _log.error(
        "middleware.failed",
        request_id=None if exchange is None else exchange.request_id,
        middleware=name,
        exc_info=error,
    )
