"""The session cookie as Supabase's libraries write it, and as others might."""

import base64
import json
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import SecretStr

from gateway.auth.key_set import SharedSecret
from gateway.auth.method import Refusal
from gateway.auth.supabase_cookie import SupabaseCookie, join_cookie, read_access_token
from gateway.auth.verifier import Verifier
from gateway.config.token_auth import SupabaseCookieAuth
from gateway.core.clock import system_clock
from gateway.core.identity import Principal
from tests.plugins.issuer import SECRET, Issuer

NAME = "sb-abc-auth-token"
ISSUER = Issuer("https://abc.supabase.co/auth/v1")
OWN = ("Origin", "https://chat.example.org")
USER = "2f4d9a44-5a3e-4c1e-9f51-6f5a0a7d8c11"
CHUNK_CHARS = 3180
YEAR_2100 = 4_102_444_800  # some are made when this file is read, long before they are shown


def token(**changed: object) -> str:
    """An access token of the project."""
    usual = {"aud": "authenticated", "sub": USER, "exp": YEAR_2100}
    return ISSUER.token("HS256", **{**usual, **changed})


def session(access_token: str, padding: int = 0) -> str:
    """A session as JSON."""
    user = {"id": USER, "name": "\u00c5nn", "about": "x" * padding}
    fields = {"access_token": access_token, "refresh_token": "r", "expires_at": 1, "user": user}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def as_base64(text: str) -> str:
    """A value as versions from 0.4 on write it."""
    return "base64-" + base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def in_parts(value: str) -> str:
    """The header of a value that is cut into parts."""
    pieces = [value[at : at + CHUNK_CHARS] for at in range(0, len(value), CHUNK_CHARS)]
    return "; ".join(f"{NAME}.{number}={piece}" for number, piece in enumerate(pieces))


def method(origins: Sequence[str] = ()) -> SupabaseCookie:
    """The method of a project with a secret."""
    spec = SupabaseCookieAuth.model_validate(
        {"kind": "supabase_cookie", "url": "https://abc.supabase.co", "secret": "${ANY}"}
    )
    assert (spec.cookie, spec.issuer) == (NAME, ISSUER.url)
    verifier = Verifier(spec, SharedSecret(SecretStr(SECRET)), system_clock)
    return SupabaseCookie(spec.cookie, verifier, origins)


async def show(
    cookie: str, *headers: tuple[str, str], verb: str = "POST", to: SupabaseCookie | None = None
) -> Principal | Refusal | None:
    """What is found in a request with this header."""
    given = CIMultiDict([("Host", "chat.example.org"), ("Cookie", cookie), *headers])
    return await (to or method()).recognise(make_mocked_request(verb, "/", given), None)


WHOLE = quote(session(token()))


@pytest.mark.parametrize(
    "cookie",
    [
        f"{NAME}={WHOLE}",
        f"a=1; {NAME}={WHOLE}; theme=dark",
        f"a=1;{NAME}={WHOLE};b",
        f"{NAME}={as_base64(session(token()))}",
        f"{NAME}={as_base64(session(token()))}=",
        in_parts(quote(session(token(), 9000))),
        in_parts(as_base64(session(token(), 9000))),
        "; ".join(reversed(in_parts(quote(session(token(), 9000))).split("; "))),
        f"{NAME}={WHOLE}; {NAME}={WHOLE}",
        f"{NAME}=; {in_parts(quote(session(token(), 4000)))}",
        f"{NAME}={WHOLE}; {NAME}.0=left-over",
    ],
    ids=range(11),
)
async def test_a_session_is_known_in_all_its_forms(cookie: str) -> None:
    """Whole and in parts, URL-encoded and base64; chat-contract 2."""
    assert await show(cookie, OWN) == Principal(USER, "supabase_cookie")


@pytest.mark.parametrize(
    "cookie",
    ["", "a=1", f"{NAME}=", f"{NAME}.0=", f"{NAME}x={WHOLE}", f"x{NAME}={WHOLE}", f"a={NAME}=1"],
    ids=range(7),
)
async def test_who_is_not_signed_in_has_shown_nothing(cookie: str) -> None:
    """A cookie that was removed is empty for a moment."""
    assert await show(cookie, OWN) is None


PARTS = in_parts(quote(session(token(), 9000))).split("; ")


@pytest.mark.parametrize(
    "cookie",
    [
        "; ".join(PARTS[1:]),
        "; ".join([PARTS[0], *PARTS[2:]]),
        "; ".join(PARTS[:-1]),
        f"{NAME}=%7B",
        f"{NAME}=%ff",
        f"{NAME}=base64-",
        f"{NAME}=base64-!!",
        f"{NAME}=base64-\u00e9",
        f"{NAME}={as_base64('[]')}",
        f"{NAME}=null",
        f"{NAME}={quote(json.dumps([token(), 'r']))}",
        f"{NAME}={quote(json.dumps({'access_token': 7}))}",
        f"{NAME}={quote(json.dumps({'refresh_token': 'r'}))}",
        f"{NAME}={quote('{' * 1500)}",
        f"{NAME}={quote('[' * 1500)}",
        f"{NAME}={token()}",
    ],
    ids=range(16),
)
async def test_what_cannot_be_read_says_to_sign_in(cookie: str) -> None:
    """A part that is missing included; nothing of it is repeated."""
    found = await show(cookie, OWN)

    assert isinstance(found, Refusal)
    assert found.sentence == "The session cookie cannot be read. Please sign in again."


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"exp": 1}, "has expired"),
        ({"aud": None}, "lacks"),  # the project's public key, `anon`, is such a token
        ({"aud": "anon"}, "another audience"),
        ({"iss": "https://xyz.supabase.co/auth/v1"}, "not from an issuer"),
        ({"sub": None}, "lacks `sub`"),
    ],
    ids=str,
)
async def test_a_session_that_does_not_count_says_why(
    changed: dict[str, object], says: str
) -> None:
    """In words for somebody who has never heard of tokens."""
    found = await show(f"{NAME}={quote(session(token(**changed)))}", OWN)

    assert isinstance(found, Refusal)
    assert says in found.sentence
    assert found.sentence.startswith("The session")
    assert found.sentence.endswith("Please sign in again.")


async def test_two_different_sessions_are_nobody_s() -> None:
    """A neighbouring host can set a cookie for both."""
    other = quote(session(token(sub="mallory")))

    found = await show(f"{NAME}={other}; {NAME}={WHOLE}", OWN)

    assert isinstance(found, Refusal)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Origin", "https://evil.example"),),
        (("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")),
        (("Origin", "null"),),
        (("Sec-Fetch-Site", "same-site"),),
    ],
    ids=str,
)
async def test_a_foreign_page_cannot_use_the_session(headers: tuple[tuple[str, str], ...]) -> None:
    """A front end's request needs no preflight, so nothing but this would stop it."""
    to = method()
    await show(f"{NAME}={WHOLE}", OWN, to=to)  # also when it was verified a moment ago

    found = await show(f"{NAME}={WHOLE}", *headers, to=to)

    assert isinstance(found, Refusal)
    assert "server.cors_origins" in found.sentence


async def test_a_listed_page_may_and_reading_is_free() -> None:
    """The operator has said so; and what changes nothing cannot be misused."""
    listed = method(["https://other.example"])

    assert await show(f"{NAME}={WHOLE}", ("Origin", "https://other.example"), to=listed)
    assert await show(f"{NAME}={WHOLE}", verb="GET") == Principal(USER, "supabase_cookie")


async def test_a_session_is_verified_once() -> None:
    """Its URL-encoding and JSON included."""
    to = method()

    first = await show(f"{NAME}={WHOLE}", OWN, to=to)

    assert await show(f"{NAME}={WHOLE}", OWN, to=to) is first


@given(st.text(max_size=80), st.binary(max_size=80))
def test_no_cookie_is_a_crash(text: str, content: bytes) -> None:
    """Whatever a browser, a proxy or a stranger makes of it."""
    for value in (text, quote(text, errors="replace"), f"base64-{text}", quote(content)):
        joined = join_cookie([f"{NAME}={value}", f"{NAME}.{value}"], NAME)
        assert isinstance(joined, str | Refusal)
        assert read_access_token(value) is None or "access_token" in value


def test_parts_are_counted() -> None:
    """No caller decides how much is put together."""
    header = "; ".join(f"n.{number}=x" for number in range(1000))

    assert join_cookie([header], "n") == "x" * 32


def test_only_the_access_token_is_read() -> None:
    """The rest of a session is its owner's."""
    assert read_access_token(session("t")) == "t"
    assert read_access_token("\udcff") is None
