"""What is asked of which provider: reads the body and sets the call.

The rule here: before any of a body is parsed, its size, its time and the total of all bodies held
are limited.
"""

import asyncio
from functools import lru_cache

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestPayloadError

from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.config.settings import ServerSpec
from gateway.core.clock import monotonic
from gateway.core.cost import Price
from gateway.core.dialect import Dialect
from gateway.core.errors import (
    BodyTooLargeError,
    InvalidRequestError,
    MalformedRequestError,
    ProviderNotFoundError,
    RequestTimeoutError,
    shutting_down,
)
from gateway.core.exchange import Exchange
from gateway.core.held_bodies import HeldBodies, HeldBody
from gateway.credentials.own_endpoints import unfilled
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import (
    CALL,
    CHAT,
    HELD_BODY,
    PROMPT,
    REGISTRY,
    RELAYED_ROUTES,
    SETTINGS,
    Call,
)
from gateway.wire.chat_request import ChatRequest, read_chat
from gateway.wire.checks import require_model_text
from gateway.wire.completions_request import CompletionsRequest, read_completions
from gateway.wire.estimates import estimate_tokens
from gateway.wire.redaction import redact

# How many bodies of the largest size may be held at a time, unless a total is configured. Each is
# held twice, as received and as sent. With one being parsed and what the allocator keeps, the
# process takes 380 MiB (measured).
LARGEST_BODIES = 3
EXPECTATION_FAILED = 417

HELD_BODIES: web.AppKey[HeldBodies] = web.AppKey("held_bodies", HeldBodies)
"""Set by `app`, with `hold_bodies`."""


def hold_bodies(server: ServerSpec) -> HeldBodies:
    """The counter for an app with these settings."""
    return HeldBodies(server.max_bodies_bytes or LARGEST_BODIES * server.max_body_bytes)


async def postpone_continue(request: web.Request) -> None:
    """Send no "100 Continue" yet; the `expect_handler` of routes with a body.

    aiohttp calls it before the chain; `read_request` invites the body after authentication.
    """


@web.middleware
async def read_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read the request for an answer; other requests pass."""
    route = request.match_info.route.name
    if "Expect" in request.headers:
        _check_expectation(request)
    if route not in RELAYED_ROUTES:
        return await handler(request)
    app = request.app  # a variable, because each `request.app` is a new look-up
    held = request[HELD_BODY] = HeldBody(app[HELD_BODIES])
    try:
        body = await _Body(request, app[SETTINGS].server, held).read()
        request[CALL] = await _make_call(request, app[REGISTRY], body, route)
        del body  # only its parsed fields are needed from here
        return await handler(request)
    finally:
        held.let_go()  # a stream already did when it began


class _Body:
    """One body being received."""

    def __init__(self, request: web.Request, server: ServerSpec, held: HeldBody) -> None:
        self._request = request
        self._server = server
        self._held = held

    async def read(self) -> bytes:
        """The whole body, or an error that says why not."""
        announced_bytes = self._request.content_length or 0
        self._check_size(announced_bytes)
        self._held.bodies.check_room(announced_bytes)
        content = self._request.content
        if content.is_eof():  # small ones come with the head: no timer, no task switch
            return self._keep(self._read_piece())
        began_at = monotonic()
        if "Expect" in self._request.headers:
            await _invite_body(self._request)
        try:
            async with asyncio.timeout(self._server.request_body_timeout_s):
                return await self._gather()
        except TimeoutError:
            raise RequestTimeoutError(
                "The body did not arrive in time; send the request again."
            ) from None
        finally:
            self._request[EXCHANGE].waited_s += monotonic() - began_at

    async def _gather(self) -> bytes:
        pieces = []
        try:
            while piece := await self._request.content.readany():
                pieces.append(self._keep(piece))
        except RequestPayloadError as error:
            raise MalformedRequestError(
                "The body does not match its headers.", detail=type(error).__name__
            ) from error
        except asyncio.CancelledError:
            if _is_cancelled():  # its caller left, or it timed out
                raise
            # aiohttp cancels a read like this if the drain time is over and the caller still sends.
            raise shutting_down() from None
        except RuntimeError as error:
            if self._request.transport is not None:
                raise
            # aiohttp raises this if the caller left while we handled a piece and the handler has
            # not been cancelled yet.
            raise ConnectionResetError("The caller left.") from error
        return b"".join(pieces)

    def _read_piece(self) -> bytes:
        try:
            return self._request.content.read_nowait()
        except RequestPayloadError as error:
            raise MalformedRequestError("The body does not match its headers.") from error

    def _keep(self, piece: bytes) -> bytes:
        self._check_size(self._held.held_bytes + len(piece))
        self._held.keep(len(piece))
        return piece

    def _check_size(self, body_bytes: int) -> None:
        if body_bytes > self._server.max_body_bytes:
            raise BodyTooLargeError(f"The body is larger than {self._server.max_body_bytes} bytes.")


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _check_expectation(request: web.Request) -> None:
    if request.headers["Expect"].strip().lower() != "100-continue":
        refusal = MalformedRequestError("The only expectation supported is 100-continue.")
        refusal.status = EXPECTATION_FAILED
        raise refusal


async def _invite_body(request: web.Request) -> None:
    if request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the real answer has not begun


async def _make_call(request: web.Request, registry: Registry, body: bytes, route: str) -> Call:
    parse = request.app[HELD_BODIES].parse
    exchange = request[EXCHANGE]
    exchange.bytes_in = len(body)
    if route == CHAT:
        provider = _find_provider(registry, request.match_info["provider"])
        exchange.provider = provider.name
        chat, exchange.prompt_tokens = await parse(_read_chat, body)
        if provider.is_custom:  # the field selects a row; `check_key` finds its model
            row = require_model_text(chat.custom_model_id or "", "customModelId")
            model, exchange.price = _find_model(provider, row, "customModelId")
        else:
            model, exchange.price = _find_model(provider, chat.model, "chatSettings.model")
        request[PROMPT] = chat
        call = Call(Dialect.TEXT, provider, model, stream=True, wants_usage=False)
    else:
        asked, exchange.prompt_tokens = await parse(_read_completions, body)
        provider = _find_provider(registry, asked.provider, "model")
        model, price = _find_model(provider, asked.model, "model")
        exchange.price = _check_free(price, asked, provider)
        request[PROMPT] = asked
        call = Call(Dialect.OPENAI, provider, model, asked.stream, asked.wants_usage)
    _note(exchange, call)
    return call


_redact_model = lru_cache(maxsize=1_024)(redact)  # the same few models repeat


def _note(exchange: Exchange, call: Call) -> None:
    exchange.dialect = call.dialect
    exchange.provider = call.provider.name
    exchange.model = _redact_model(call.model)  # somebody may have pasted a key as model
    exchange.stream = call.stream


def _read_chat(body: bytes) -> tuple[ChatRequest, int]:
    """The request and the estimated tokens of its prompt; both may take a while."""
    chat = read_chat(body)
    return chat, estimate_tokens([chat.messages])


def _read_completions(body: bytes) -> tuple[CompletionsRequest, int]:
    """The same for the OpenAI dialect; all its fields go upstream, so all are estimated."""
    asked = read_completions(body)
    return asked, estimate_tokens(asked.fields.values())


def _find_provider(registry: Registry, name: str, param: str | None = None) -> Provider:
    provider = registry.providers.get(name)
    if provider is None:
        if param is None:
            sentence = "There is no provider of this name; GET /api/providers lists what there is."
        else:
            sentence = (
                "`model` is `<provider>/<model>`, and there is no provider of this name; "
                "GET /v1/models lists what there is."
            )
        raise ProviderNotFoundError(sentence, param=param)
    if provider.is_placeholder and provider.own_endpoint is None:
        raise unfilled(provider, param)
    return provider


def _find_model(provider: Provider, asked: str, field: str) -> tuple[str, Price | None]:
    """The model id to send, and its price; an unknown id goes to the provider as it is."""
    wanted = asked or provider.default_model
    if not wanted:
        raise InvalidRequestError(
            f"`{field}` names no model, and {provider.label} has no default.", param=field
        )
    known = provider.find_model(wanted)
    return wanted if known is None else known.id, provider.price_of(known)


def _check_free(price: Price | None, asked: CompletionsRequest, provider: Provider) -> Price | None:
    """The price, or None if it says that the model is free but another model may answer."""
    if price is None or price.in_micros or price.out_micros or provider.is_simulated:
        return price
    return None if asked.find_other_models(provider.params) else price
