"""After a head nothing but the rest of that answer may leave."""

import asyncio
from collections.abc import Sequence

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.app import CHAIN
from gateway.core.errors import InvalidRequestError
from gateway.core.exchange import Outcome
from gateway.middleware.guard_stream import guard_stream
from gateway.plugins.loading import name_of
from tests.plugins.chain import LogLines, StartChain

POSITIONS = [name_of(one) for one in CHAIN]


async def stream(request: web.Request) -> web.StreamResponse:
    """A stream that ends well."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half an answer")
    return response


@web.middleware
async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the answer through, then raise."""
    await handler(request)
    raise ValueError("a bug")


@web.middleware
async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the answer through, then raise an error with a status."""
    await handler(request)
    raise InvalidRequestError("too late")


@web.middleware
async def refuse_like_aiohttp(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The same with aiohttp's own."""
    await handler(request)
    raise web.HTTPForbidden


@web.middleware
async def answer_again(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the answer through, then give another."""
    await handler(request)
    return web.json_response({"again": True})


@web.middleware
async def stream_again(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the answer through, then begin another stream."""
    await handler(request)
    return await stream(request)


MISTAKES = [fail, refuse, refuse_like_aiohttp, answer_again, stream_again]


def insert(position: str, middleware: Middleware) -> Sequence[Middleware]:
    """The chain with a middleware right after the one of that name."""
    index = POSITIONS.index(position) + 1
    return (*CHAIN[:index], middleware, *CHAIN[index:])


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("mistake", MISTAKES, ids=name_of)
async def test_a_mistake_after_the_head_cuts_the_answer(
    start_chain: StartChain, log_lines: LogLines, position: str, mistake: Middleware
) -> None:
    """By itself aiohttp writes the second answer into the first and ends it cleanly."""
    chain = await start_chain(stream, chain=insert(position, mistake))

    reply = await chain.ask()

    assert not reply.is_whole
    assert reply.raw.count(b"HTTP/1.1") == 1
    assert b"again" not in reply.raw
    assert len(log_lines.find("stream.cut")) == 1
    assert len(chain.exchanges) == 1


@pytest.mark.parametrize("mistake", MISTAKES, ids=name_of)
async def test_an_http_1_0_caller_sees_a_reset(
    start_chain: StartChain, mistake: Middleware
) -> None:
    """A connection that is merely closed is, to nginx, the end of the answer."""
    chain = await start_chain(stream, chain=insert("authenticate", mistake))
    reader, writer = await chain.connect()
    writer.write(b"GET /api/keys HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")

    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("has_left", [True, False])
async def test_an_error_of_a_connection_that_has_ended_is_no_news(
    start_chain: StartChain, log_lines: LogLines, *, has_left: bool
) -> None:
    """Callers leave all the time; an error of a connection that is there is a mistake."""

    @web.middleware
    async def lose(request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        assert request.transport is not None
        if has_left:
            request.transport.close()
        raise ConnectionResetError("lost")

    chain = await start_chain(stream, chain=insert("guard_stream", lose))

    reply = await chain.ask()

    assert not reply.is_whole
    assert len(log_lines.find("stream.cut")) == (0 if has_left else 1)


async def test_what_was_cut_is_not_settled_as_finished(start_chain: StartChain) -> None:
    """The log line is what operators count by."""
    chain = await start_chain(stream, chain=insert("authenticate", fail))

    await chain.ask()
    exchange = await chain.wait_settled()

    assert (exchange.outcome, exchange.status, exchange.error_code) == (
        Outcome.POLICY_STOPPED,
        200,
        "internal_error",
    )


async def test_an_answer_that_ends_by_itself_is_whole(start_chain: StartChain) -> None:
    """The guard is in the way of nothing else."""
    chain = await start_chain(stream)

    reply = await chain.ask()

    assert (reply.status, reply.body, reply.is_whole) == (200, b"half an answer", True)


async def test_a_response_that_was_prepared_but_not_sent_counts(start_chain: StartChain) -> None:
    """Its head waits for its body in aiohttp, and is decided all the same."""

    async def prepare(request: web.Request) -> web.StreamResponse:
        await web.Response(text="first").prepare(request)
        return web.Response(text="second")

    chain = await start_chain(prepare)

    reply = await chain.ask()

    assert b"second" not in reply.raw


async def test_a_cut_connection_serves_no_further_request(start_chain: StartChain) -> None:
    """A request that was sent behind the cut answer must not be answered into it."""
    chain = await start_chain(stream, chain=insert("authenticate", answer_again))
    request = b"GET /api/keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    received = await chain.send(request * 3)

    assert received.count(b"HTTP/1.1 200") <= 1


async def test_the_gateways_stop_cuts_a_stream_that_does_not_end(
    start_chain: StartChain,
) -> None:
    """Cancelled by the shutdown, an answer must not look finished."""
    begun = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = await stream(request)
        begun.set()
        await asyncio.Event().wait()
        return response

    chain = await start_chain(stall)
    asked = asyncio.ensure_future(chain.ask())
    await begun.wait()
    await chain.runner.cleanup()
    reply = await asked

    assert not reply.is_whole
    assert len(chain.exchanges) == 1


async def test_a_cancellation_that_nobody_asked_for_cuts_too(start_chain: StartChain) -> None:
    """It passes every `except Exception`, and would close an HTTP/1.0 answer cleanly."""

    async def cancel(request: web.Request) -> web.StreamResponse:
        await stream(request)
        raise asyncio.CancelledError

    chain = await start_chain(cancel)
    reader, writer = await chain.connect()
    writer.write(b"GET /api/keys HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")

    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert (await chain.wait_settled()).outcome is Outcome.POLICY_STOPPED
    writer.close()


def test_it_is_the_outermost() -> None:
    """Whatever comes before it could not be guarded."""
    assert CHAIN[0] is guard_stream
