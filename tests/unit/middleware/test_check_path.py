"""What two servers could read in two ways is refused before anything is decided by it."""

import pytest

from tests.plugins.chain import StartChain, parse_reply

REFUSED = [
    "/api/chat/..%2fadmin",
    "/api/chat/..%2Fadmin",
    "/api/chat/a%5cb",
    "/api/chat/a%00b",
    "/api/chat/a%0ab",
    "/api/chat/a%0d%0aX:1",
    "/api/chat/a%7fb",
    "/api/../keys",
    "/api/..",
    "/../api/keys",
    "/api/%2e%2e/keys",
    "/api/.%2E/keys",
    "/api\\keys",
    "/api/chat/\u00e9",
    "http://evil.example/api/keys",
    "*",
    "/v1/models/groq%2F..%2Fx",
    "/v1/models/groq%2F%00",
    "/v1/models/..%2Fgroq",
    "/v1/models/GROQ%2Fx",
    "/v1/models/groq%2F",
    "/v1/models/groq%2Fa b",
    "/v1/models/groq%2F%2e%2e%2Fx",
    "/v1/models/groq%2F%5cx",
    "/v1/models/groq%2F%7f",
    "/v1/models/groq%2F%C3%A9",
    "/v1/models/groq%2F%2Fx",
    "/v1/models/groq%2F%zz",
]
ALLOWED = [
    "/api/keys",
    "/api/keys?next=..%2f..",
    "/v1/models/groq/llama-3.3-70b",
    "/v1/models/groq%2Fllama-3.3-70b",
    "/v1/models/openrouter%2fmeta-llama%2Fllama-3.1-8b:free",
    "/v1/models/cloudflare%2F%40cf%2Fmeta%2Fllama%3Afree",
    "/v1/models/openrouter/meta-llama%2Fllama-3.1",
    "/v1/models/lmstudio%2FQwen%202.5%20(Q4,%20%5B7B%5D)",
    "/v1/models/mine%2F100%25",
]


@pytest.mark.parametrize("path", REFUSED)
async def test_an_ambiguous_target_is_400(start_chain: StartChain, path: str) -> None:
    """A proxy like nginx decides by the decoded path and passes the raw one on (measured)."""
    chain = await start_chain()

    reply = await chain.ask(path=path)

    # What aiohttp does not take for a request at all has the other code.
    assert reply.status == 400
    assert reply.json()["error"]["code"] in {"invalid_path", "malformed_request"}
    assert path.encode() not in reply.raw


@pytest.mark.parametrize("path", ALLOWED)
async def test_a_plain_target_passes(start_chain: StartChain, path: str) -> None:
    """SDKs write the slash of a model's id as %2F."""
    chain = await start_chain()

    assert (await chain.ask(path=path)).status == 200


@pytest.mark.parametrize("path", ["/api/./keys", "/api//keys", "/API/keys", "/api/keys/"])
async def test_nothing_is_normalised(start_chain: StartChain, path: str) -> None:
    """One path has one spelling; any other is simply not there."""
    chain = await start_chain()

    assert (await chain.ask(path=path)).status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("chat.example.org:8443", 401),  # no loopback name: nobody is let in by that
        ("my_app", 401),
        ("[::1]:8080", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1Connection: close", 400),
        ("a b", 400),
        ("evil.example/v1", 400),
        ("127.0.0.1@evil.example", 400),
        ("a:80:90", 400),
        ("[::1", 400),
    ],
)
async def test_a_host_that_is_none_is_400(start_chain: StartChain, host: str, status: int) -> None:
    """Nginx refuses it, so that a gateway without it would serve what one behind it never sees."""
    chain = await start_chain()
    raw = f"GET /api/keys HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"

    assert parse_reply(await chain.send(raw.encode())).status == status


@pytest.mark.parametrize(
    ("version", "codings"),
    [
        ("1.1", ["gzip, chunked"]),
        ("1.1", ["chunked", "chunked"]),
        ("1.1", ["identity"]),
        ("1.0", ["chunked"]),
    ],
)
async def test_any_other_framing_than_chunked_is_400(
    start_chain: StartChain, version: str, codings: list[str]
) -> None:
    """By itself aiohttp takes `gzip, chunked` and hands the bytes on undecoded (measured)."""
    chain = await start_chain()
    headers = [("Transfer-Encoding", coding) for coding in codings]

    reply = await chain.ask("GET", headers=headers, body=b"0\r\n\r\n", version=version)

    assert (reply.status, reply.is_whole) == (400, True)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-unknown", "identity, gzip"])
async def test_an_encoded_body_is_415(start_chain: StartChain, coding: str) -> None:
    """200 KB of gzip are 200 MB of body, and an unknown coding would be read as it is."""
    chain = await start_chain()

    reply = await chain.ask(
        "POST", "/api/chat/groq", headers=[("Content-Encoding", coding)], body=b"x"
    )

    assert (reply.status, reply.json()["error"]["code"]) == (415, "unsupported_encoding")


async def test_identity_is_no_encoding(start_chain: StartChain) -> None:
    """Some clients say so, and some say nothing in a header of its own."""
    chain = await start_chain()

    for coding in ("Identity", ""):
        assert (await chain.ask(headers=[("Content-Encoding", coding)])).status == 200, coding


@pytest.mark.parametrize("start_line", ["GET /api/keys HTTP/2.0", "GET /api/keys"])
async def test_no_other_version_is_spoken(start_chain: StartChain, start_line: str) -> None:
    """B17: aiohttp's parser takes these, and would answer in a version that nobody speaks here."""
    chain = await start_chain()

    reply = parse_reply(await chain.send(f"{start_line}\r\nHost: 127.0.0.1\r\n\r\n".encode()))

    assert reply.status == 505
    assert reply.json()["error"]["code"] == "malformed_request"
