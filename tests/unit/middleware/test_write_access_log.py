"""One line for each exchange, and it says what happened."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.app import CHAIN
from gateway.core.errors import InvalidRequestError
from gateway.core.exchange import Exchange, Outcome
from gateway.core.upstream_errors import UpstreamConnectError
from gateway.middleware.assign_request_id import IN_FLIGHT, OBSERVERS
from gateway.middleware.write_access_log import write_access_log
from gateway.plugins.api import EXCHANGE
from tests.plugins.chain import Running, StartChain, render_request


async def test_an_answer_is_settled_with_its_status_and_size(start_chain: StartChain) -> None:
    """The plainest case."""
    chain = await start_chain()

    reply = await chain.ask()

    exchange = await chain.wait_settled()
    assert (exchange.outcome, exchange.status) == (Outcome.FINISHED, 200)
    assert exchange.bytes_out == len(reply.body)
    assert exchange.ended_at >= exchange.started_at


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidRequestError("no"), (Outcome.REJECTED, 400, "invalid_request")),
        (UpstreamConnectError("no"), (Outcome.UPSTREAM_FAILED, 502, "upstream_connect")),
        (ValueError("a bug"), (Outcome.REJECTED, 500, "internal_error")),
        (web.HTTPNotFound(), (Outcome.REJECTED, 404, "not_found")),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_error_is_settled_as_what_it_was(
    start_chain: StartChain, error: Exception, expected: tuple[Outcome, int, str]
) -> None:
    """Whose fault it was is what operators look for."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise error

    chain = await start_chain(fail)

    await chain.ask()

    exchange = await chain.wait_settled()
    assert (exchange.outcome, exchange.status, exchange.error_code) == expected


@pytest.mark.parametrize(("head_first", "status"), [(False, 499), (True, 200)])
async def test_a_caller_who_leaves_is_settled_at_once(
    start_chain: StartChain, *, head_first: bool, status: int
) -> None:
    """Also while the provider is silent: nobody waits for an answer that nobody reads."""
    begun = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if head_first:
            await response.prepare(request)
        begun.set()
        await asyncio.Event().wait()
        return response

    chain = await start_chain(stall)
    _, writer = await chain.connect()
    writer.write(render_request("GET", "/api/keys"))
    await begun.wait()
    writer.close()

    exchange = await chain.wait_settled()
    assert (exchange.outcome, exchange.status) == (Outcome.CLIENT_GONE, status)


async def test_an_answer_that_goes_on_without_its_caller_is_left_to_the_relay(
    start_chain: StartChain,
) -> None:
    """Settled twice it would be counted twice, settled here its tokens would be lost."""
    begun = asyncio.Event()
    seen: list[Exchange] = []

    async def detach(request: web.Request) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        seen.append(exchange)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            exchange.detached = True
            exchange.ending = Outcome.CLIENT_GONE
            left.set()
        return web.Response()

    left = asyncio.Event()
    chain = await start_chain(detach)
    _, writer = await chain.connect()
    writer.write(render_request("GET", "/api/keys"))
    await begun.wait()
    writer.close()
    await left.wait()
    await chain.ask(path="/nothing")  # by now the other one has left the chain

    assert (seen[0].outcome, seen[0].status) == (None, 499)
    assert len(chain.exchanges) == 1


async def test_the_ending_that_the_relay_noted_counts(start_chain: StartChain) -> None:
    """A stream that was broken off returns its response like one that was not."""

    async def break_off(request: web.Request) -> web.StreamResponse:
        request[EXCHANGE].ending = Outcome.UPSTREAM_FAILED
        return web.Response()

    chain = await start_chain(break_off)

    await chain.ask()

    assert (await chain.wait_settled()).outcome is Outcome.UPSTREAM_FAILED


async def test_requests_that_are_no_chats_get_their_line_too(start_chain: StartChain) -> None:
    """A log that leaves things out cannot be searched."""
    chain = await start_chain()

    await chain.ask("DELETE", "/api/keys")

    assert (await chain.wait_settled()).status == 405
    assert len(chain.runner.app[OBSERVERS]) == 4


async def start_before_the_log(start_chain: StartChain, middleware: Middleware) -> Running:
    """A chain in which this stands before the log, as an operator's may."""
    place = CHAIN.index(write_access_log)
    return await start_chain(chain=(*CHAIN[:place], middleware, *CHAIN[place:]))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (web.Response(status=418), (Outcome.FINISHED, 418, "")),
        (web.HTTPFound("/elsewhere"), (Outcome.FINISHED, 302, "")),
        (ValueError("a bug"), (Outcome.REJECTED, 500, "internal_error")),
    ],
    ids=["answer", "redirect", "mistake"],
)
async def test_what_never_comes_as_far_as_the_log_is_settled_all_the_same(
    start_chain: StartChain,
    result: web.Response | Exception,
    expected: tuple[Outcome, int, str],
) -> None:
    """Or it would be in flight for ever, in the numbers and for whoever waits for the last one."""

    @web.middleware
    async def answer(_: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001
        if isinstance(result, Exception):
            raise result
        return result

    chain = await start_before_the_log(start_chain, answer)

    reply = await chain.ask()

    exchange = await chain.wait_settled()
    assert (exchange.outcome, exchange.status, exchange.error_code) == expected
    assert reply.status == exchange.status
    assert chain.runner.app[IN_FLIGHT].count == 0


async def test_a_caller_who_leaves_before_the_log_is_settled_all_the_same(
    start_chain: StartChain,
) -> None:
    """A middleware of the operator's was thinking."""
    begun = asyncio.Event()

    @web.middleware
    async def think(_: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    chain = await start_before_the_log(start_chain, think)
    _, writer = await chain.connect()
    writer.write(render_request("GET", "/api/keys"))
    await begun.wait()

    writer.transport.abort()

    exchange = await chain.wait_settled()
    assert (exchange.outcome, exchange.status) == (Outcome.CLIENT_GONE, 499)
    assert chain.runner.app[IN_FLIGHT].count == 0


async def test_what_is_settled_is_not_asked_again(start_chain: StartChain) -> None:
    """A second answer would have no line and no row, and the first one's would say what it did."""
    asked = 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.json_response({})

    @web.middleware
    async def ask_twice(request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        return await handler(request)

    place = CHAIN.index(write_access_log)
    chain = await start_chain(answer, chain=(*CHAIN[:place], ask_twice, *CHAIN[place:]))

    reply = await chain.ask()

    exchange = await chain.wait_settled()
    assert (reply.status, asked) == (500, 1)
    assert (exchange.outcome, exchange.status, exchange.error_code) == (Outcome.FINISHED, 200, "")
