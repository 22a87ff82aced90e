"""A middleware of an operator's that reads the body, in the real chain."""

import json

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.app import CHAIN
from gateway.middleware.authenticate import authenticate
from gateway.middleware.enforce_limits import enforce_limits
from gateway.plugins.guarding import BODY_TAKEN, guard
from tests.plugins.chain import LogLines, Running, StartChain, render_request

BODY = json.dumps(
    {"chatSettings": {"model": "m"}, "messages": [{"role": "user", "content": "Hi"}]}
).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@web.middleware
async def read_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read what only `read_request` may."""
    await request.read()
    return await handler(request)


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001 - it answers by itself
    """Read it and need nobody else."""
    return web.json_response({"bytes": len(await request.read())})


async def start(start_chain: StartChain, middleware: object, after: object) -> Running:
    """A chain with this behind one of its own."""
    index = CHAIN.index(after) + 1
    own = guard(middleware, "mine", timeout_s=5)
    return await start_chain(chain=(*CHAIN[:index], own, *CHAIN[index:]))


@pytest.mark.parametrize(
    ("headers", "body"),
    [((), BODY), ((("Transfer-Encoding", "chunked"),), CHUNKED)],
    ids=["length", "chunks"],
)
async def test_a_body_that_is_gone_is_its_mistake(
    start_chain: StartChain,
    log_lines: LogLines,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
) -> None:
    """The caller would be told to send JSON, which they have done."""
    chain = await start(start_chain, read_body, authenticate)

    reply = await chain.ask("POST", "/api/chat/groq", headers=headers, body=body)
    exchange = await chain.wait_settled()

    assert (reply.status, exchange.error_code) == (500, "plugin_error")
    assert "mine" in reply.json()["message"]
    assert BODY_TAKEN in log_lines.find("middleware.failed")[0]["exception"]


async def test_no_body_is_nobodys_mistake_but_the_callers(start_chain: StartChain) -> None:
    """There was nothing to be read."""
    chain = await start(start_chain, read_body, authenticate)

    reply = await chain.ask("POST", "/api/chat/groq")

    assert reply.status == 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/keys"), ("GET", "/v1/models"), ("GET", "/nothing")]
)
async def test_where_nobody_reads_the_body_it_may(
    start_chain: StartChain, method: str, path: str
) -> None:
    """A list needs none."""
    chain = await start(start_chain, read_body, authenticate)

    reply = await chain.ask(method, path, body=BODY)

    assert reply.status == (404 if path == "/nothing" else 200)


async def test_further_in_there_is_nothing_left_to_take(start_chain: StartChain) -> None:
    """`read_request` has all of it."""
    chain = await start(start_chain, read_body, enforce_limits)

    assert (await chain.ask("POST", "/api/chat/groq", body=BODY)).status == 200


async def test_who_answers_by_itself_may_read_it(start_chain: StartChain) -> None:
    """Nobody else wants it."""
    chain = await start(start_chain, answer, authenticate)

    reply = await chain.ask("POST", "/api/chat/groq", body=BODY)

    assert reply.json() == {"bytes": len(BODY)}


async def test_a_body_that_is_still_coming_is_not_gone(start_chain: StartChain) -> None:
    """Who reads nothing is let through, however slow the caller is."""

    @web.middleware
    async def pass_on(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request)

    chain = await start(start_chain, pass_on, authenticate)
    reader, writer = await chain.connect()
    headers = [("Content-Length", str(len(BODY)))]
    writer.write(render_request("POST", "/api/chat/groq", headers=headers) + BODY[:10])
    await writer.drain()
    writer.write(BODY[10:])

    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
