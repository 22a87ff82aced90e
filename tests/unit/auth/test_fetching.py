"""Keys are fetched from a real issuer, and from nowhere that was not meant."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from gateway.auth.fetching import MAX_BYTES, Fetcher, FetchError, Publication
from gateway.upstream.resolver import Resolver
from tests.plugins.issuer import Answer, Issuer, never, saying

MakeFetcher = Callable[..., Fetcher]


@pytest.fixture
async def make_fetcher() -> AsyncIterator[MakeFetcher]:
    """Makes what fetches; their names are looked up by one resolver."""
    resolver = Resolver()

    def make(**fields: Any) -> Fetcher:
        return Fetcher(resolver, **{"allow_private": True, "ca_file": None, **fields})

    yield make
    resolver.close()


async def test_published_keys_are_fetched(issuer: Issuer, make_fetcher: MakeFetcher) -> None:
    """In one request."""
    keys = await Publication(make_fetcher(), issuer.url, issuer.keys_url).fetch_keys()

    assert keys == issuer.keys
    assert issuer.requests == ["/keys"]


async def test_an_issuer_says_where_its_keys_are(issuer: Issuer, make_fetcher: MakeFetcher) -> None:
    """OpenID Connect Discovery, 4."""
    issuer.discovered = {"jwks_uri": f"{issuer.url}/keys?tenant=a"}

    assert await Publication(make_fetcher(), issuer.url, None).fetch_keys() == issuer.keys
    assert issuer.requests == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    "discovered",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"jwks_uri": "http://user:word@127.0.0.1/keys"},
        {"jwks_uri": "http://127.0.0.1/k\r\nX: 1"},
        {"jwks_uri": "keys"},
    ],
    ids=str,
)
async def test_what_it_says_is_checked(
    issuer: Issuer, make_fetcher: MakeFetcher, discovered: dict[str, object]
) -> None:
    """Its answer is somebody else's text (Discovery, 4.3: the issuer must be the same)."""
    issuer.discovered = discovered

    with pytest.raises(FetchError):
        await Publication(make_fetcher(), issuer.url, None).fetch_keys()
    assert issuer.key_requests == 0


async def test_private_addresses_need_a_word(issuer: Issuer, make_fetcher: MakeFetcher) -> None:
    """A key set is fetched by a machine that reaches more than callers do."""
    fetcher = make_fetcher(allow_private=False)
    for url in (
        issuer.keys_url,
        issuer.keys_url.replace("http:", "https:"),
        "https://localhost/keys",
        "https://169.254.169.254/keys",
        "http://login.example.org/keys",
    ):
        with pytest.raises(FetchError, match="its address"):
            await fetcher.fetch(url)
    assert issuer.requests == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (saying("", 302, Location="/keys2"), "302"),
        (saying("", 500), "500"),
        (saying("{}", 404), "404"),
        (saying("{}", 401), "401"),
        (saying(""), "no JWKS"),
        (saying("<html>"), "no JWKS"),
        (saying("[]"), "no JWKS"),
        (saying('{"keys": {}}'), "no JWKS"),
        (saying('{"keys": null}'), "no JWKS"),
        (saying(b"\xff\xfe{}"), "no JWKS"),
        (saying('{"keys": ' + "[" * 100_000), "no JWKS"),
        (saying(" " * (MAX_BYTES + 1)), "more than"),
        (saying(b"\x1f\x8b", **{"Content-Encoding": "br"}), "encoded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_answer_that_is_no_key_set_says_so(
    issuer: Issuer, make_fetcher: MakeFetcher, answer: Answer, says: str
) -> None:
    """E09: of any size, of any sort, and never from another address."""
    issuer.answer = answer

    with pytest.raises(FetchError, match=says):
        await Publication(make_fetcher(), issuer.url, issuer.keys_url).fetch_keys()
    assert issuer.requests == ["/keys"]


async def test_a_stream_without_an_end_is_cut(issuer: Issuer, make_fetcher: MakeFetcher) -> None:
    """A gateway that holds what it is sent can be filled up."""

    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    issuer.answer = pour

    with pytest.raises(FetchError, match="more than"):
        await make_fetcher().fetch(issuer.keys_url)


async def test_a_silent_issuer_is_given_up(issuer: Issuer, make_fetcher: MakeFetcher) -> None:
    """Callers wait for it, the first time."""
    issuer.answer = never

    with pytest.raises(FetchError, match="no answer within"):
        await make_fetcher(timeout_s=0.05).fetch(issuer.keys_url)


async def test_an_issuer_that_is_down_is_a_failure(
    issuer: Issuer, make_fetcher: MakeFetcher
) -> None:
    """Like any other."""
    await issuer.stop()

    with pytest.raises(FetchError, match="cannot be reached"):
        await make_fetcher().fetch(issuer.keys_url)


async def test_an_authority_that_is_gone_is_a_failure(
    issuer: Issuer, make_fetcher: MakeFetcher, tmp_path: Path
) -> None:
    """The file was there at the start."""
    fetcher = make_fetcher(ca_file=tmp_path / "gone.pem")

    with pytest.raises(FetchError, match="FileNotFoundError"):
        await fetcher.fetch(issuer.keys_url.replace("http:", "https:"))


async def test_an_issuer_with_tls_is_verified(make_fetcher: MakeFetcher, tmp_path: Path) -> None:
    """By the authority that is named, and by the system's where none is."""
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    issuer = Issuer()
    await issuer.start(context)

    publication = Publication(make_fetcher(ca_file=ca_file), issuer.url, None)
    assert await publication.fetch_keys() == issuer.keys
    with pytest.raises(FetchError, match="certificate is not accepted"):
        await make_fetcher().fetch(issuer.keys_url)
    await issuer.stop()


async def test_an_answer_in_pieces_is_one(issuer: Issuer, make_fetcher: MakeFetcher) -> None:
    """Chunked, byte by byte."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in b'{"keys": [{"kty": "RSA"}, 7]}':
            await response.write(bytes([byte]))
            await asyncio.sleep(0)
        return response

    issuer.answer = drip

    found = await Publication(make_fetcher(), issuer.url, issuer.keys_url).fetch_keys()
    assert found == [{"kty": "RSA"}]
