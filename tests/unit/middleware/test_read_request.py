"""A body is bounded in size, in time and in sum, and means one thing."""

import asyncio
import json

import pytest
from aiohttp import web

from gateway.app import CHAIN
from gateway.config.provider_blocks import AuthSpec, Model
from gateway.config.registry import Provider
from gateway.config.settings import ServerSpec, Settings
from gateway.core.clock import monotonic
from gateway.core.errors import OverloadedError
from gateway.core.exchange import Outcome
from gateway.core.held_bodies import MAX_INLINE_BYTES
from gateway.middleware.check_key import check_key
from gateway.middleware.read_request import (
    LARGEST_BODIES,
    hold_bodies,
)
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, HELD_BODY, Call
from tests.plugins.anybody import ANYBODY
from tests.plugins.chain import Reply, StartChain, make_registry, parse_reply, render_request
from tests.plugins.scene import eventually

MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT = json.dumps({"chatSettings": {"model": "m"}, "messages": MESSAGES}).encode()
SMALL = ServerSpec(max_body_bytes=1_000)
HURRIED = ServerSpec(request_body_timeout_s=0.05)

NAMED = Provider(
    name="named",
    base_url="https://llm.example.org/v1",
    models=(Model(id="vendor/big-model", alias="big"), Model(id="small")),
    default_model="big",
    auth=AuthSpec(required=False),
)
EMPTY = Provider(name="empty", base_url="https://EXAMPLE.example.org/v1", label="Empty")


async def show_call(request: web.Request) -> web.StreamResponse:
    """What was understood."""
    call = request[CALL]
    return web.json_response(
        {
            "dialect": call.dialect,
            "provider": call.provider.name,
            "model": call.model,
            "stream": call.stream,
            "wants_usage": call.wants_usage,
            "body_bytes": request[EXCHANGE].bytes_in,
        }
    )


async def ask_chat(start_chain: StartChain, model: object, provider: str = "named") -> Reply:
    """The answer to one call of the front end's kind."""
    chain = await start_chain(show_call, registry=make_registry(named=NAMED, empty=EMPTY))
    body = json.dumps({"chatSettings": {"model": model}, "messages": MESSAGES}).encode()
    return await chain.ask("POST", f"/api/chat/{provider}", body=body)


async def ask_openai(start_chain: StartChain, model: object, **fields: object) -> Reply:
    """The answer to one call of an SDK's kind."""
    chain = await start_chain(show_call, registry=make_registry(named=NAMED, empty=EMPTY))
    body = json.dumps({"model": model, "messages": MESSAGES, **fields}).encode()
    return await chain.ask("POST", "/v1/chat/completions", body=body)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("big", "vendor/big-model"),
        ("vendor/big-model", "vendor/big-model"),
        ("", "vendor/big-model"),
        ("never-heard-of", "never-heard-of"),
    ],
)
async def test_the_model_is_found_by_id_alias_or_default(
    start_chain: StartChain, asked: str, expected: str
) -> None:
    """One that the registry does not know may be the provider's newest."""
    by_chat = await ask_chat(start_chain, asked)
    by_openai = await ask_openai(start_chain, f"named/{asked}" if asked else "named")

    assert (by_chat.json()["model"], by_openai.json()["model"]) == (expected, expected)


async def test_a_call_of_the_front_end_is_always_a_stream(start_chain: StartChain) -> None:
    """The contract has no field for it."""
    reply = await ask_chat(start_chain, "small")

    assert (reply.json()["dialect"], reply.json()["stream"]) == ("text", True)


async def test_an_sdks_call_says_what_it_wants(start_chain: StartChain) -> None:
    """Stream or not, with the usage chunk or without."""
    reply = await ask_openai(
        start_chain, "named/small", stream=True, stream_options={"include_usage": True}
    )

    assert (reply.json()["stream"], reply.json()["wants_usage"]) == (True, True)


@pytest.mark.parametrize("provider", ["nobody", "NAMED", "named%20", "n%C3%A4med", "namedx"])
async def test_an_unknown_provider_is_404(start_chain: StartChain, provider: str) -> None:
    """Compared exactly: no path, module or address is ever built from the name."""
    reply = await ask_chat(start_chain, "m", provider)

    assert (reply.status, reply.json()["error"]["code"]) == (404, "provider_not_found")


async def test_an_unknown_provider_in_a_model_names_the_field(start_chain: StartChain) -> None:
    """OpenAI's SDKs show `param`."""
    reply = await ask_openai(start_chain, "nobody/m")

    assert reply.status == 404
    assert (reply.json()["error"]["param"], reply.json()["error"]["code"]) == (
        "model",
        "provider_not_found",
    )


async def test_an_address_that_nobody_filled_in_is_not_called(start_chain: StartChain) -> None:
    """EXAMPLE may be somebody's host."""
    reply = await ask_chat(start_chain, "m", "empty")

    assert reply.status == 404
    assert "base_url" in reply.json()["message"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (
            "/api/chat/groq",
            {"chatSettings": {"model": ""}, "messages": MESSAGES},
            "chatSettings.model",
        ),
        ("/v1/chat/completions", {"model": "groq", "messages": MESSAGES}, "model"),
    ],
)
async def test_no_model_and_no_default_is_400(
    start_chain: StartChain, path: str, body: dict[str, object], field: str
) -> None:
    """The caller can mend it, and is told where."""
    chain = await start_chain(show_call)

    reply = await chain.ask("POST", path, body=json.dumps(body).encode())

    assert reply.status == 400
    assert f"`{field}`" in reply.body.decode()


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"a":1,"a":2}'])
async def test_a_body_that_is_not_strict_json_is_400(start_chain: StartChain, body: bytes) -> None:
    """Never 500, whatever it is."""
    chain = await start_chain(show_call)

    reply = await chain.ask("POST", "/api/chat/groq", body=body)

    assert reply.status == 400


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "image/png", ""])
async def test_the_content_type_is_of_no_interest(
    start_chain: StartChain, content_type: str
) -> None:
    """The front end's browser sends text/plain."""
    chain = await start_chain(show_call)

    reply = await chain.ask(
        "POST", "/api/chat/groq", headers=[("Content-Type", content_type)], body=CHAT
    )

    assert reply.status == 200


async def test_a_body_in_pieces_is_one_body_and_its_way_is_a_wait(start_chain: StartChain) -> None:
    """What the caller's line takes is no time of the gateway's."""
    chain = await start_chain(show_call)
    reader, writer = await chain.connect()
    body = CHAT.replace(b'"Hi"', b'"%b"' % (b"x" * 300_000))
    writer.write(
        render_request("POST", "/api/chat/groq", headers=[("Content-Length", str(len(body)))])
    )
    writer.write(body[:10])
    await eventually(lambda: chain.held.held_bytes == 10, "the first piece is in hand")
    writer.write(body[10:])

    reply = parse_reply(await reader.read())

    assert (reply.status, reply.json()["body_bytes"]) == (200, len(body))
    exchange = await chain.wait_settled()
    assert 0 < exchange.waited_s < monotonic() - exchange.started_at
    writer.close()


async def test_a_body_that_is_announced_too_large_is_refused_unread(
    start_chain: StartChain,
) -> None:
    """Nobody has to send 2 GB to learn that."""
    chain = await start_chain(show_call, server=SMALL)
    head = [("Content-Length", "1001")]

    reply = await chain.ask("POST", "/v1/chat/completions", headers=head)

    assert (reply.status, reply.json()["error"]["code"]) == (413, "body_too_large")
    assert reply.headers["connection"] == "close"


async def test_a_body_that_grows_too_large_is_refused_on_the_way(start_chain: StartChain) -> None:
    """A chunked one announces nothing."""
    chain = await start_chain(show_call, server=SMALL)
    body = b"".join(b"64\r\n" + b" " * 100 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"

    reply = await chain.ask(
        "POST", "/api/chat/groq", headers=[("Transfer-Encoding", "chunked")], body=body
    )

    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert chain.held.held_bytes == 0


async def test_a_body_of_exactly_the_limit_passes(start_chain: StartChain) -> None:
    """The limit is what may be, not what may not."""
    chain = await start_chain(show_call, server=SMALL)

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT.ljust(1_000))

    assert (reply.status, reply.json()["body_bytes"]) == (200, 1_000)


async def test_a_body_that_does_not_come_is_408(start_chain: StartChain) -> None:
    """One byte every ten seconds would hold a connection for days."""
    chain = await start_chain(show_call, server=HURRIED)

    reply = await chain.ask(
        "POST", "/api/chat/groq", headers=[("Content-Length", "100")], body=b'{"half":'
    )

    assert (reply.status, reply.json()["error"]["code"]) == (408, "request_timeout")
    assert reply.headers["connection"] == "close"
    assert chain.held.held_bytes == 0


async def test_a_caller_who_leaves_half_way_is_gone(start_chain: StartChain) -> None:
    """No error, no answer, nothing kept."""
    chain = await start_chain(show_call)
    _, writer = await chain.connect()
    writer.write(render_request("POST", "/api/chat/groq", headers=[("Content-Length", "9")]))
    writer.write(b"{")
    await writer.drain()
    writer.close()

    exchange = await chain.wait_settled()
    assert (exchange.outcome, exchange.status) == (Outcome.CLIENT_GONE, 499)
    assert chain.held.held_bytes == 0


async def test_a_body_that_is_framed_wrongly_is_400(start_chain: StartChain) -> None:
    """Where it ends is anybody's guess, so nothing on that connection is a request any more."""
    chain = await start_chain(show_call)
    reader, writer = await chain.connect()
    writer.write(
        render_request("POST", "/api/chat/groq", headers=[("Transfer-Encoding", "chunked")])
    )
    writer.write(b"5\r\n{\r\n")
    await writer.drain()
    writer.write(b"zz\r\n" * 10)

    reply = parse_reply(await reader.read())

    assert (reply.status, reply.json()["error"]["code"]) == (400, "malformed_request")
    assert chain.held.held_bytes == 0
    writer.close()


async def test_a_large_body_is_parsed_beside_the_loop(start_chain: StartChain) -> None:
    """The others would wait for it."""
    chain = await start_chain(show_call)
    long = {
        "chatSettings": {"model": "m"},
        "messages": [{"role": "user", "content": "x" * MAX_INLINE_BYTES}],
    }

    reply = await chain.ask("POST", "/api/chat/groq", body=json.dumps(long).encode())

    assert reply.status == 200
    assert reply.json()["body_bytes"] > MAX_INLINE_BYTES


async def test_a_body_is_held_until_its_answer_is_over(start_chain: StartChain) -> None:
    """Until then it may have to be sent to the provider again."""
    seen = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(chain.held.held_bytes)
        return await show_call(request)

    chain = await start_chain(look)

    await chain.ask("POST", "/api/chat/groq", body=CHAT)
    await chain.wait_settled()

    assert (seen, chain.held.held_bytes) == ([len(CHAT)], 0)


async def test_what_is_not_sent_again_is_not_counted(start_chain: StartChain) -> None:
    """A stream may last an hour; its prompt is not held for that hour."""
    seen = []

    async def stream(request: web.Request) -> web.StreamResponse:
        request[HELD_BODY].let_go()
        seen.append(chain.held.held_bytes)
        return await show_call(request)

    chain = await start_chain(stream)

    await chain.ask("POST", "/api/chat/groq", body=CHAT)
    await chain.wait_settled()

    assert (seen, chain.held.held_bytes) == ([0], 0)


async def test_more_bodies_than_fit_are_told_to_come_back(start_chain: StartChain) -> None:
    """503 for one is better than no memory for all."""
    chain = await start_chain(show_call, server=SMALL)
    chain.held.held_bytes = LARGEST_BODIES * SMALL.max_body_bytes

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT)

    assert (reply.status, 1 <= int(reply.headers["retry-after"]) <= 4) == (503, True)
    assert reply.json()["error"]["code"] == "overloaded"


async def test_a_body_that_is_announced_too_large_for_the_rest_is_refused_unread(
    start_chain: StartChain,
) -> None:
    """Who would be refused in the end does not send it for nothing."""
    chain = await start_chain(show_call, server=SMALL)
    chain.held.held_bytes = LARGEST_BODIES * SMALL.max_body_bytes - 500

    reply = await chain.ask("POST", "/api/chat/groq", headers=[("Content-Length", "501")])

    assert (reply.status, reply.json()["error"]["code"]) == (503, "overloaded")


def test_so_many_of_the_largest_bodies_fit() -> None:
    """The sum follows the limit for one."""
    held = hold_bodies(SMALL)

    held.check_room(LARGEST_BODIES * 1_000)

    with pytest.raises(OverloadedError):
        held.check_room(LARGEST_BODIES * 1_000 + 1)


def test_the_sum_may_be_set() -> None:
    """Who has the memory lets more callers wait at a time."""
    held = hold_bodies(ServerSpec(max_body_bytes=1_000, max_bodies_bytes=50_000))

    held.check_room(50_000)

    with pytest.raises(OverloadedError):
        held.check_room(50_001)


async def test_a_body_is_invited_once_the_caller_is_known(start_chain: StartChain) -> None:
    """`Expect: 100-continue` is there to save a large upload that would be refused."""
    chain = await start_chain(show_call)
    reader, writer = await chain.connect()
    headers = [("Content-Length", str(len(CHAT))), ("Expect", "100-Continue")]
    writer.write(render_request("POST", "/api/chat/groq", headers=headers))

    invitation = await reader.readuntil(b"\r\n\r\n")
    writer.write(CHAT)
    reply = parse_reply(await reader.read())

    assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (reply.status, reply.is_whole) == (200, True)
    writer.close()


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        (Settings(server=SMALL), 413),
        (Settings(server=ServerSpec(host="0.0.0.0")), 401),
    ],
)
async def test_a_body_that_would_be_refused_is_not_invited(
    start_chain: StartChain, settings: Settings, status: int
) -> None:
    """The answer comes instead."""
    chain = await start_chain(show_call, settings=settings)
    headers = [("Content-Length", "1001"), ("Expect", "100-continue")]

    reply = await chain.ask("POST", "/api/chat/groq", headers=headers)

    assert reply.raw.startswith(f"HTTP/1.1 {status}".encode())


@pytest.mark.parametrize("path", ["/api/chat/groq", "/api/keys", "/nothing"])
async def test_any_other_expectation_is_417(start_chain: StartChain, path: str) -> None:
    """As JSON too where aiohttp answers before the chain."""
    chain = await start_chain(show_call, settings=Settings(auth=(ANYBODY,)))

    reply = await chain.ask(
        "POST" if "chat" in path else "GET", path, headers=[("Expect", "a miracle")], body=CHAT
    )

    assert (reply.status, reply.json()["error"]["code"]) == (417, "malformed_request")


async def test_many_bodies_at_once_are_all_let_go(start_chain: StartChain) -> None:
    """A counter that drifts refuses everybody in the end."""
    chain = await start_chain(show_call)
    bodies = [CHAT, b"{", b"", CHAT[:-1]] * 5

    await asyncio.gather(*(chain.ask("POST", "/api/chat/groq", body=body) for body in bodies))
    await chain.wait_settled(len(bodies))

    assert chain.held.held_bytes == 0


@pytest.mark.parametrize(
    ("written", "status", "said"),
    [
        ('"r1"', 200, "r1"),
        ('""', 400, "names no model"),
        ("null", 400, "names no model"),
        ('"r1\\n"', 400, "must be printable"),
        (f'"{"x" * 257}"', 400, "at most 256 characters"),
    ],
)
async def test_custom_is_asked_for_by_the_id_of_a_row(
    start_chain: StartChain, written: str, status: int, said: str
) -> None:
    """Which stands in `customModelId`; what the front end calls the model says nothing."""
    seen: list[Call] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request[CALL])
        return web.json_response({})

    custom = Provider(name="custom", base_url="models:", auth=AuthSpec(required=False))
    chain = await start_chain(
        note,
        registry=make_registry(custom=custom),
        chain=[one for one in CHAIN if one is not check_key],
    )
    body = (
        '{"chatSettings":{"model":"anything"},"messages":[{"role":"user","content":"Hi"}],'
        f'"customModelId":{written}}}'
    )

    reply = await chain.ask("POST", "/api/chat/custom", body=body.encode())

    assert reply.status == status
    if status == 200:
        assert [call.model for call in seen] == [said]
    else:
        assert said in reply.json()["message"]
        assert "`customModelId`" in reply.json()["message"]
