"""Every answer can be found in the log by its id."""

import re

import pytest
from aiohttp import web

from gateway.config.settings import ServerSpec
from gateway.core.dialect import Dialect
from gateway.plugins.api import EXCHANGE
from tests.plugins.chain import StartChain
from tests.plugins.stored_keys import SOME_KEY


async def test_every_answer_has_an_id_of_its_own(start_chain: StartChain) -> None:
    """Two requests must not share a line."""
    chain = await start_chain()

    ids = [(await chain.ask()).headers["x-request-id"] for _ in range(2)]

    assert all(re.fullmatch(r"[0-9a-f]{32}", found) for found in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    "given",
    [
        *("a", "req_1.2-3", "x" * 128, "gw_1234", "task-0123456789abcdef", "my_sk-eleton.of-1"),
        "0f8fad5b-d9cb-469f-a165-70867728950e",  # a UUID
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",  # a ULID
        "4bf92f3577b34da6a3ce929d0e0e4736",  # of a trace, and nginx's own
        "req_011CSHoEeqs5C35K2UUqR7Fy",
        "Root-1-67891233-abcdef012345678912345678",
        "V1StGXR8_Z5jdHi6B-myT",
    ],
)
async def test_a_harmless_id_of_the_caller_is_used(start_chain: StartChain, given: str) -> None:
    """A front end finds its own id again."""
    chain = await start_chain()

    reply = await chain.ask(headers=[("X-Request-ID", given)])

    assert reply.headers["x-request-id"] == given
    assert chain.exchanges[0].request_id == given


@pytest.mark.parametrize(
    "given",
    [
        SOME_KEY,
        f"a.{SOME_KEY}-1",
        "gw_" + "aB3-_" * 9,
        "sk-proj-AbCd1234EfGh5678",
        "sk-ant-api03-AbCd1234EfGh5678",
        "call.sk-or-v1-0123456789abcdef",
        *(f"{prefix}0123456789abcdef" for prefix in ("gsk_", "xai-", "hf_", "AIza", "nvapi-")),
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJI.eyJzdWIiOiIx.abc_defg",
    ],
)
async def test_a_credential_is_no_id(start_chain: StartChain, given: str) -> None:
    """Somebody put it into the wrong header; an id goes into every line and answer as it is."""
    chain = await start_chain()

    reply = await chain.ask(headers=[("X-Request-ID", given)])

    assert re.fullmatch(r"[0-9a-f]{32}", reply.headers["x-request-id"])
    assert chain.exchanges[0].request_id == reply.headers["x-request-id"]


@pytest.mark.parametrize(
    "given", ["", "x" * 129, "a b", "a\tb", "<script>", "../etc", "é", 'a"b', "a,b"]
)
async def test_any_other_id_is_replaced(start_chain: StartChain, given: str) -> None:
    """What comes back in a header and in log lines must not carry anything in."""
    chain = await start_chain()

    reply = await chain.ask(headers=[("X-Request-ID", given)])

    assert re.fullmatch(r"[0-9a-f]{32}", reply.headers["x-request-id"])


@pytest.mark.parametrize(
    ("path", "status"), [("/api/keys", 200), ("/nothing", 404), ("/a%2fb", 400)]
)
async def test_errors_carry_the_same_headers(
    start_chain: StartChain, path: str, status: int
) -> None:
    """An answer is never cached nor guessed at, whoever made it."""
    chain = await start_chain()

    reply = await chain.ask(path=path)

    assert reply.status == status
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["server"] == "chat-gateway"


async def test_a_stream_carries_them_on_its_head(start_chain: StartChain) -> None:
    """Its head is gone before the chain sees it again; what it says of caching stays."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "no-cache, no-store"})
        await response.prepare(request)
        await response.write(b"x")
        return response

    chain = await start_chain(stream)

    reply = await chain.ask()

    assert reply.headers["x-request-id"] == chain.exchanges[0].request_id
    assert reply.headers["cache-control"] == "no-cache, no-store"


async def test_the_record_holds_no_query(start_chain: StartChain) -> None:
    """Keys end up in query strings, and log lines live long."""
    chain = await start_chain()

    await chain.ask(path="/api/keys?key=secret")

    exchange = await chain.wait_settled()
    assert (exchange.path, exchange.client_address) == ("/api/keys", "127.0.0.1")


async def test_the_dialect_is_known_from_the_path(start_chain: StartChain) -> None:
    """Also an error before anything is read is answered in it."""

    async def show(request: web.Request) -> web.StreamResponse:
        return web.json_response({"dialect": request[EXCHANGE].dialect})

    chain = await start_chain(show)

    assert (await chain.ask(path="/v1/models")).json() == {"dialect": Dialect.OPENAI}
    assert (await chain.ask(path="/api/keys")).json() == {"dialect": Dialect.TEXT}


@pytest.mark.parametrize(
    ("proxies", "client"),
    [((), "127.0.0.1"), (("10.0.0.0/8",), "127.0.0.1"), (("127.0.0.1",), "192.0.2.1")],
    ids=str,
)
async def test_a_proxy_says_who_called_where_it_is_trusted(
    start_chain: StartChain, proxies: tuple[str, ...], client: str
) -> None:
    """Anybody else who says so calls for themselves (D06)."""
    chain = await start_chain(server=ServerSpec(trusted_proxies=proxies))

    await chain.ask(headers=[("X-Forwarded-For", "6.6.6.6, 192.0.2.1")])

    assert (await chain.wait_settled()).client_address == client
