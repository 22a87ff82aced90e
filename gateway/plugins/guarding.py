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

SENTENCE = "A middleware of this gateway's operator made a mistake: {name}. Its log has the reason."

# What a middleware may raise; a connection that broke is judged where it is known who broke it.
_NO_MISTAKES = (
    asyncio.CancelledError,
    ConnectionError,
    GatewayError,
    GeneratorExit,
    web.HTTPException,
)

_log = structlog.get_logger()


def guard(middleware: Middleware, name: str, *, timeout_s: float) -> Middleware:
    """The same middleware; its time limit stands still while those further in work."""

    @functools.wraps(middleware)
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        inside: BaseException | None = None
        limit = _Limit(timeout_s)

        async def go_on(request: web.Request) -> web.StreamResponse:
            nonlocal inside
            limit.stop()
            try:
                return await handler(request)
            except BaseException as error:
                inside = error
                raise
            finally:
                limit.start()

        try:
            async with limit.timeout:
                return _check(await middleware(request, go_on))
        except _NO_MISTAKES:
            raise
        except BaseException as error:
            # Also what would end the loop, and everybody's streams with it: `sys.exit()`.
            if error is inside:
                raise
            raise _fail(request, name, error) from None
        finally:
            inside = None  # its traceback holds this frame: a cycle

    return guarded


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


def _check(returned: object) -> web.StreamResponse:
    if isinstance(returned, web.StreamResponse):
        return returned
    raise TypeError(f"It returned {type(returned).__name__}, not a response.")


def _fail(request: web.Request, name: str, error: BaseException) -> PluginFailedError:
    exchange = request.get(EXCHANGE)
    _log.error(
        "middleware.failed",
        request_id=None if exchange is None else exchange.request_id,
        middleware=name,
        exc_info=error,
    )
    return PluginFailedError(SENTENCE.format(name=name), detail=f"{name}: {type(error).__name__}")
