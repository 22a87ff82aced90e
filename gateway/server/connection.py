"""A caller's connection: aiohttp's, plus a head deadline, JSON errors and a way to retire.

The rule here: nothing that a caller sent is quoted back, and anything that cannot be read as a
request ends the connection.
"""

import asyncio
import functools
import re
import select
from collections.abc import Callable
from http import HTTPStatus

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, InvalidHeader, LineTooLong
from aiohttp.web_protocol import RequestPayloadError
from typing_extensions import override

from gateway.config.settings import ServerSpec
from gateway.core.clock import monotonic
from gateway.core.dialect import Dialect, dialect_of_path
from gateway.core.errors import (
    GatewayError,
    InternalError,
    MalformedRequestError,
    PluginFailedError,
)
from gateway.core.request_id import new_request_id
from gateway.plugins.api import EXCHANGE
from gateway.plugins.refusals import BY_OPERATOR, translate_refusal
from gateway.server.connection_limit import ConnectionLimit
from gateway.server.departures import Departures
from gateway.wire.fixed_headers import FIXED_HEADERS
from gateway.wire.forwarded import name_peer
from gateway.wire.render_errors import render_openai, render_text

# How long we read the rest of a refused body, so that the caller gets the answer: closing a socket
# with unread bytes sends a reset, which discards what we sent.
LINGER_S = 5.0
MAX_TEXT_CHARS = 100
_QUOTATION = re.compile(r"""b?\\?(["'])(?:(?!\1).){20,}(?:\1|$)""")
UNKNOWN = -1
_END_OF_HEAD = b"\r\n\r\n"
HELD_UP_S = 0.25  # a timer this late means that this process did not run
GRACE_S = 1.0
# How long a retiring connection waits for a last request. A proxy sends its next request on a
# connection that it kept open. If we closed all at once, requests on their way would be lost (24
# callers through each of four proxies: 1 to 9 errors at each stop, none this way). A connection
# unused for this long is hardly about to be used.
LAST_CALL_S = 0.5
SOON_S = 0.01  # long enough to read what has already arrived

Refuse = Callable[[bytes], bytes | None]
"""The answer for a request that is refused at the door; None for one that is to be served."""

_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (LineTooLong, "The request line or a header is longer than 8190 bytes."),
    (InvalidHeader, "The request holds a header that is not valid."),
)

_log = structlog.get_logger()


class GatewayConnection(web.RequestHandler):
    """Speaks HTTP/1.1 with one caller."""

    __slots__ = (
        "_connection_limit",
        "_departures",
        "_fed_bytes",
        "_has_place",
        "_head_bytes",
        "_head_due_at",
        "_head_timeout_s",
        "_head_timer",
        "_is_at_rest",
        "_is_busy",
        "_is_retiring",
        "_last_call",
        "_rested_until",
        "_when_unused",
        "refuse",
    )

    def __init__(
        self,
        server: web.Server,
        settings: ServerSpec,
        *,
        loop: asyncio.AbstractEventLoop,
        connection_limit: ConnectionLimit,
        departures: Departures,
        when_unused: Callable[[], None],
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=settings.keep_alive_s,
            access_log=None,  # type: ignore[arg-type]  # as aiohttp's own runner passes it on
            lingering_time=LINGER_S,
            auto_decompress=False,  # the chain refuses encoded bodies; none is inflated before
        )
        self._request_factory = functools.partial(_make_request, server.request_factory)
        self._connection_limit = connection_limit
        self._departures = departures
        self._has_place = False
        self._is_busy = False
        self._is_retiring = False
        self._last_call: asyncio.TimerHandle | None = None
        self._when_unused = when_unused
        # Set on the public listener, where callers may be refused at the door.
        self.refuse: Refuse | None = None
        # The parser is between two requests, having been fed only complete ones.
        self._is_at_rest = True
        self._rested_until = 0.0  # until then requests may be refused at the door
        self._fed_bytes = 0  # bytes fed to the parser since it was at rest
        self._head_bytes = UNKNOWN
        self._head_timeout_s = settings.head_timeout_s
        self._head_due_at = 0.0  # uvloop's timers below 1 ms do not know theirs
        self._head_timer: asyncio.TimerHandle | None = None

    def request_arrived(self) -> None:
        """A complete head has arrived: from now on the chain has its own deadlines."""
        self._is_busy = True
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def retire(self) -> None:
        """Wait LAST_CALL_S for a last request, and send `Connection: close` in its answer.

        If an answer's head was already sent without it, we wait again after that answer.
        """
        self._is_retiring = True
        make_request = self._request_factory
        if make_request is None:  # it is closed already
            return
        self._request_factory = lambda message, *parts: make_request(
            message._replace(should_close=True), *parts
        )
        if not self._is_busy:
            self._begin_last_call()

    @property
    def last_call_s(self) -> float:
        """How much longer it waits for a last request."""
        if self._last_call is None:
            return 0.0
        return max(self._last_call.when() - self._loop.time(), SOON_S)

    def close_if_idle(self) -> None:
        """Close now if a request was answered here and no other has arrived."""
        if not self._is_busy and self._head_timer is None:
            self.force_close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._has_place = self._connection_limit.take()
        if not self._has_place:
            self.force_close()
            return
        # Only now: a connection closed before it has a transport stays open when it gets one.
        self._head_due_at = monotonic() + self._head_timeout_s
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(self._head_timeout_s, self._close_unused)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        if self._has_place:
            self._connection_limit.give_back()
            self._has_place = False
        for timer in (self._head_timer, self._last_call):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._last_call = None
        self._departures.add(functools.partial(super().connection_lost, exc))

    @override
    def data_received(self, data: bytes) -> None:
        """Pass bytes to the parser, unless they are a request that is refused at the door."""
        if not self._is_at_rest:
            self._fed_bytes += len(data)
        elif self._is_turned_away(data):
            return
        else:
            self._is_at_rest = False
            end = data.find(_END_OF_HEAD)
            # If the request begins with an empty line, its end cannot be found this way.
            self._head_bytes = end + len(_END_OF_HEAD) if end > 0 else UNKNOWN
            self._fed_bytes = len(data)
        super().data_received(data)
        if self._messages and self._is_busy:
            self._note_broken_framing()

    @override
    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; those that aiohttp itself made are replaced by ours."""
        self.request_arrived()
        # Raised before the chain (an unknown `Expect`) or outside `render_errors`.
        if isinstance(resp, web.HTTPException):
            resp = _respond_to(request, resp)
        # An HTTP/1.0 answer without a length ends only with the connection, but aiohttp keeps that
        # open if the caller asked for it (measured on 3.14.5).
        is_unframed = request.version < HttpVersion11 and resp.content_length is None
        whole_bytes = self._head_bytes + (request.content_length or 0)
        # aiohttp's parser (3.14.5) loses whatever follows an `Upgrade` request in the same read,
        # and would take the rest for a request. After `close` the caller sends it again.
        has_lost = self._fed_bytes != whole_bytes and "Upgrade" in request.headers
        if is_unframed or has_lost or (self._is_retiring and not resp.prepared):
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        self._is_busy = False
        self._is_at_rest = self._fed_bytes == whole_bytes and request.content.is_eof()
        # aiohttp does not know about refusals at the door, so its keep-alive timer may close the
        # connection while one is sent. Stay well below it.
        self._rested_until = monotonic() + self.keepalive_timeout / 2
        if self._is_retiring:
            self._begin_last_call()
        return finished

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer something that is no request, or an error that escaped the chain."""
        if isinstance(exc, ConnectionError):
            raise exc  # the caller left; aiohttp ends the connection
        if request.writer.output_size > 0:
            raise ConnectionError("An answer has begun; there is no second one.")
        request_id = _id_of(request)
        if status == HTTPStatus.BAD_REQUEST:
            _log_malformed(request, request_id, exc)
            sentence = next(
                (text for kind, text in _SENTENCES if isinstance(exc, kind)),
                "This is not an HTTP/1.1 request.",
            )
            return _render(request, MalformedRequestError(sentence), request_id)
        if isinstance(exc, PluginFailedError):  # already logged under its own event
            return _render(request, exc, request_id)
        _log.error("request.crashed", request_id=request_id, exc_info=exc)
        error = InternalError("The gateway failed; its log has the reason under this request id.")
        return _render(request, error, request_id)

    def _note_broken_framing(self) -> None:
        """Tell the reader of the current request's body that no more will come.

        aiohttp queues an answer to what it cannot parse, but does not tell that reader, which would
        wait for the rest until it times out.
        """
        request, (message, _) = self._current_request, self._messages[-1]
        is_broken = not isinstance(message, RawRequestMessage)
        if is_broken and request is not None and not request.content.is_eof():
            request.content.set_exception(RequestPayloadError("The framing is broken."))
            request.content.feed_eof()  # then there is nothing to wait for

    def _begin_last_call(self) -> None:
        if self._last_call is None:
            self._last_call = self._loop.call_later(LAST_CALL_S, self._end_last_call)

    def _end_last_call(self) -> None:
        self._last_call = None
        if self._waiter is None or self._waiter.done():
            return  # a request has arrived; its answer closes the connection or restarts the wait
        if self._has_unread():
            self._last_call = self._loop.call_later(SOON_S, self._end_last_call)
        else:
            self.force_close()

    def _has_unread(self) -> bool:
        """Whether the socket has bytes that the loop has not read yet."""
        if self.transport is None:
            return False
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _is_turned_away(self, data: bytes) -> bool:
        transport = self.transport
        is_new = self._head_timer is not None
        if self.refuse is None or is_new or self._is_retiring or transport is None:
            return False
        answer = None if transport.is_closing() else self.refuse(data)
        if answer is None or monotonic() > self._rested_until:
            return False
        if transport.get_write_buffer_size():
            transport.abort()  # the caller sends requests but does not read answers
        else:
            transport.write(answer)
        return True

    def _close_unused(self) -> None:
        if monotonic() - self._head_due_at > HELD_UP_S:
            # We were stopped or starved, and the loop reads what the caller sent after the timers.
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(GRACE_S, self._end_unused)
            return
        self._end_unused()

    def _end_unused(self) -> None:
        self._head_timer = None
        self._when_unused()
        self.force_close()


def _make_request(
    make_request: Callable[..., web.BaseRequest], message: RawRequestMessage, *parts: object
) -> web.BaseRequest:
    """Make a request from its head; a chunked one is the last on its connection.

    A chunked body may end with trailers, and aiohttp's parser (3.14.5) takes the last of them for a
    header of the next request, which behind a proxy is another caller's. We cannot tell whether
    there were any.
    """
    if message.chunked:
        message = message._replace(should_close=True)
    return make_request(message, *parts)


def _log_malformed(request: web.BaseRequest, request_id: str, exc: BaseException | None) -> None:
    # Scanners and TLS on the plain port are common on the internet.
    log = _log.debug if isinstance(exc, BadHttpMethod) else _log.info
    text = exc.message if isinstance(exc, HttpProcessingError) else ""
    log(
        "request.malformed",
        request_id=request_id,
        client=name_peer(request.remote),
        reason=type(exc).__name__,
        text=_without_quotation(text),
    )


def _without_quotation(text: str) -> str:
    """The message of aiohttp without the bytes that it quotes, which may be a key or a prompt.

    Header names are short, and stay.
    """
    first, _, _ = text.partition("\n")
    return ascii(_QUOTATION.sub("'…'", first))[1:-1][:MAX_TEXT_CHARS]


def _respond_to(request: web.BaseRequest, refusal: web.HTTPException) -> web.Response:
    if refusal.status < HTTPStatus.BAD_REQUEST:
        return web.Response(status=refusal.status, headers=refusal.headers, body=refusal.body)
    error: GatewayError = MalformedRequestError("The request was refused.")
    if refusal.get(BY_OPERATOR):
        return _render(request, translate_refusal(refusal), _id_of(request))
    if refusal.status == HTTPStatus.EXPECTATION_FAILED:
        error = MalformedRequestError("The only expectation supported is 100-continue.")
    elif refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = InternalError("The gateway could not answer this request.")
    error.status = refusal.status
    return _render(request, error, _id_of(request))


def _render(request: web.BaseRequest, error: GatewayError, request_id: str) -> web.Response:
    is_openai = dialect_of_path(request.path) is Dialect.OPENAI
    response = web.Response(
        status=error.status,
        headers={**error.headers, **FIXED_HEADERS, "X-Request-ID": request_id},
        body=(render_openai if is_openai else render_text)(error, request_id),
        content_type="application/json",
        charset="utf-8",
    )
    if isinstance(error, InternalError):
        response.headers["x-should-retry"] = "false"
    response.force_close()
    return response


def _id_of(request: web.BaseRequest) -> str:
    exchange = request.get(EXCHANGE)
    return new_request_id() if exchange is None else exchange.request_id
