"""What a middleware of an operator's reads of a request, in the real chain."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.app import CHAIN
from gateway.core.held_bodies import MAX_INLINE_BYTES
from gateway.middleware.authenticate import authenticate
from gateway.middleware.check_key import check_key
from gateway.middleware.read_request import read_request
from gateway.plugins.guarding import guard
from gateway.plugins.keys import PROMPT
from gateway.plugins.prompts import TOO_FAR_OUT, TOO_LATE, messages_of, read_messages
from gateway.wire.chat_request import read_chat
from gateway.wire.completions_request import read_completions
from tests.plugins.chain import LogLines, Reply, Running, StartChain

ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
]
CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}

seen: list[list[dict[str, Any]]] = []


@web.middleware
async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read what is asked, and let it through."""
    seen.append(await read_messages(request))
    return await handler(request)


@web.middleware
async def look_back(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read what was asked when the answer is there."""
    response = await handler(request)
    await read_messages(request)
    return response


@web.middleware
async def pass_copy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Hand on a copy."""
    return await handler(request.clone())


@pytest.fixture(autouse=True)
def forget() -> None:
    """What one test has seen is not another's."""
    seen.clear()


async def relay(request: web.Request) -> web.StreamResponse:
    """Take the prompt away, as the relay does when nothing is sent again."""
    request.pop(PROMPT, None)
    return web.json_response({"ok": True})


async def start(start_chain: StartChain, *wanted: Any, after: Any = read_request) -> Running:
    """A chain with these behind one of its own."""
    index = CHAIN.index(after) + 1
    own = [guard(one, one.__name__, timeout_s=5) for one in wanted]
    return await start_chain(relay, chain=(*CHAIN[:index], *own, *CHAIN[index:]))


async def ask(chain: Running, messages: list[Any], path: str = "/api/chat/groq") -> Reply:
    """Ask for an answer in the dialect of the path."""
    body = {"model": "groq/m", "chatSettings": {"model": "m"}, "messages": messages}
    return await chain.ask("POST", path, body=json.dumps(body).encode())


@pytest.mark.parametrize("path", ["/api/chat/groq", "/v1/chat/completions"])
@pytest.mark.parametrize("after", [read_request, check_key])
async def test_messages_are_what_the_caller_wrote(
    start_chain: StartChain, path: str, after: object
) -> None:
    """One middleware judges both dialects."""
    chain = await start(start_chain, look, after=after)

    reply = await ask(chain, ASKED, path)

    assert (reply.status, seen) == (200, [ASKED])


async def test_a_message_without_content_is_one_as_well(start_chain: StartChain) -> None:
    """Of a model that called a tool."""
    chain = await start(start_chain, look)

    await ask(chain, [*ASKED, CALLED], "/v1/chat/completions")

    assert seen == [[*ASKED, CALLED]]


async def test_geminis_shape_is_read_as_it_goes_upstream(start_chain: StartChain) -> None:
    """Whoever looks for `content` alone would let everything in `parts` pass."""
    chain = await start(start_chain, look)

    await ask(chain, [{"role": "user", "parts": [{"text": "Hi"}]}])

    ((message,),) = seen
    assert "Hi" in json.dumps(message["content"])


async def test_each_who_asks_has_messages_of_its_own(start_chain: StartChain) -> None:
    """What one of them changes is nothing that another judges, or a provider gets."""
    chain = await start(start_chain, look, look)

    await ask(chain, ASKED)

    first, second = seen
    assert first == second
    assert first is not second
    assert first[0] is not second[0]


async def test_a_copy_of_the_request_has_them(start_chain: StartChain) -> None:
    """A middleware may pass on another request than it was given."""
    chain = await start(start_chain, pass_copy, look)

    await ask(chain, ASKED)

    assert seen == [ASKED]


async def test_a_long_prompt_is_whole(start_chain: StartChain) -> None:
    """It is decoded in a thread."""
    chain = await start(start_chain, look)
    long = [{"role": "user", "content": "x" * MAX_INLINE_BYTES}]

    await ask(chain, long)

    assert seen == [long]


async def test_a_request_for_no_answer_has_none(start_chain: StartChain) -> None:
    """Every request comes by."""
    chain = await start(start_chain, look, after=authenticate)

    reply = await chain.ask("GET", "/v1/models")

    assert (reply.status, seen) == (200, [[]])


async def test_too_far_out_is_an_error_that_says_where_to_stand(
    start_chain: StartChain, log_lines: LogLines
) -> None:
    """An empty list would let everything through, and nobody would know."""
    chain = await start(start_chain, look, after=authenticate)

    reply = await ask(chain, ASKED)
    exchange = await chain.wait_settled()

    assert (reply.status, exchange.error_code) == (500, "plugin_error")
    assert TOO_FAR_OUT in log_lines.find("middleware.failed")[0]["exception"]


async def test_too_late_is_an_error_that_says_when(
    start_chain: StartChain, log_lines: LogLines
) -> None:
    """A stream may last an hour; its prompt is not held for that hour."""
    chain = await start(start_chain, look_back)

    reply = await ask(chain, ASKED)
    exchange = await chain.wait_settled()

    assert (reply.status, exchange.error_code) == (500, "plugin_error")
    assert TOO_LATE in log_lines.find("middleware.failed")[0]["exception"]


def test_both_dialects_keep_their_messages_as_json() -> None:
    """What is logged of a prompt is what goes upstream."""
    messages = b'[{"role": "user", "content": "Hi"}]'
    chat = read_chat(b'{"chatSettings": {"model": ""}, "messages": %b}' % messages)
    asked = read_completions(b'{"model": "groq/m", "messages": %b}' % messages)

    assert messages_of(chat) == messages_of(asked) == messages
