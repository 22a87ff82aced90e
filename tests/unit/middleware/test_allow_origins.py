"""Only pages of listed origins may read answers in a browser."""

import pytest

from gateway.config.settings import ServerSpec
from tests.plugins.chain import StartChain

PAGE = "https://chat.example.org"
LISTED = ServerSpec(cors_origins=(PAGE,))
PREFLIGHT = ("Access-Control-Request-Method", "POST")


async def test_a_preflight_of_a_listed_origin_is_answered(start_chain: StartChain) -> None:
    """Without an answer the browser sends no request with a key in it."""
    chain = await start_chain(server=LISTED)
    wanted = "authorization,content-type,x-stainless-lang"

    reply = await chain.ask(
        "OPTIONS",
        "/v1/chat/completions",
        headers=[("Origin", PAGE), PREFLIGHT, ("Access-Control-Request-Headers", wanted)],
    )

    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == PAGE
    assert reply.headers["access-control-allow-headers"] == wanted
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in reply.headers
    assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize("server", [ServerSpec(), LISTED], ids=["off", "listed"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{PAGE}.evil.example", PAGE.upper(), f"{PAGE}/"]
)
async def test_any_other_preflight_is_refused(
    start_chain: StartChain, server: ServerSpec, origin: str
) -> None:
    """Compared to the letter: a list of patterns is how origins slip in."""
    chain = await start_chain(server=server)

    reply = await chain.ask("OPTIONS", headers=[("Origin", origin), PREFLIGHT])

    assert (reply.status, reply.json()["error"]["code"]) == (403, "origin_refused")
    assert "access-control-allow-origin" not in reply.headers


async def test_answers_to_a_listed_origin_are_marked(start_chain: StartChain) -> None:
    """The errors among them too: a page wants to show their sentence."""
    chain = await start_chain(server=LISTED)

    for path in ("/api/keys", "/nothing"):
        reply = await chain.ask(path=path, headers=[("Origin", PAGE)])

        assert reply.headers["access-control-allow-origin"] == PAGE
        assert "X-Request-ID" in reply.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "headers",
    [[("Origin", "https://evil.example")], [("Origin", PAGE), ("Origin", "https://evil.example")]],
)
async def test_other_answers_are_not_marked(
    start_chain: StartChain, headers: list[tuple[str, str]]
) -> None:
    """Then the browser shows the page nothing."""
    chain = await start_chain(server=LISTED)

    reply = await chain.ask(headers=headers)

    assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_callers_that_are_no_pages_see_nothing_of_it(start_chain: StartChain) -> None:
    """Most are servers."""
    chain = await start_chain()

    reply = await chain.ask()

    assert "vary" not in reply.headers


async def test_a_list_of_headers_that_is_none_is_not_repeated(start_chain: StartChain) -> None:
    """Nothing that was sent comes back unread."""
    chain = await start_chain(server=LISTED)

    reply = await chain.ask(
        "OPTIONS",
        headers=[("Origin", PAGE), PREFLIGHT, ("Access-Control-Request-Headers", "a b;<>")],
    )

    assert "authorization" in reply.headers["access-control-allow-headers"]
    assert "<" not in reply.headers["access-control-allow-headers"]
