"""A token is told from other keys by its shape."""

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from gateway.auth.jwt import BearerTokens, looks_like_token
from gateway.auth.key_set import SharedSecret
from gateway.auth.method import Refusal
from gateway.auth.verifier import Verifier
from gateway.config.token_auth import JwtAuth
from gateway.core.clock import system_clock
from gateway.core.identity import Principal
from tests.plugins.issuer import SECRET, Issuer

REQUEST = make_mocked_request("GET", "/")
ISSUER = Issuer("https://login.example.org")


def tokens() -> BearerTokens:
    """The method of an issuer with a secret."""
    spec = JwtAuth.model_validate(
        ISSUER.spec(algorithms=("HS256",), jwks_url=None, secret="${ANY}", allow_private=False)
    )
    return BearerTokens(Verifier(spec, SharedSecret(SecretStr(SECRET)), system_clock))


@pytest.mark.parametrize("key", ["eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "eyJhbGciOi", "a.b.c", ".."])
def test_a_token_is_known_by_its_dots_or_its_beginning(key: str) -> None:
    """One that was cut off by a line break was still meant as one."""
    assert looks_like_token(key)


@pytest.mark.parametrize("key", ["", "gw_live_abc", "unused", "sk-a.b", "1.2.3.4", "Eyj"])
def test_other_keys_do_not_look_like_it(key: str) -> None:
    """They are for others to judge."""
    assert not looks_like_token(key)


async def test_a_token_is_verified_once() -> None:
    """Then it costs a digest."""
    method = tokens()
    token = ISSUER.token("HS256")

    first = await method.recognise(REQUEST, token)

    assert first == Principal("ann", "jwt")
    assert await method.recognise(REQUEST, token) is first


async def test_what_is_not_a_token_is_none_of_its_business() -> None:
    """A key of the gateway's own, or the word that an SDK cannot do without."""
    assert await tokens().recognise(REQUEST, "gw_live_abc") is None
    assert await tokens().recognise(REQUEST, None) is None


async def test_a_token_that_is_wrong_is_told() -> None:
    """With what was wrong."""
    found = await tokens().recognise(REQUEST, ISSUER.token("HS256", exp=1))

    assert found == Refusal("The token has expired.")
