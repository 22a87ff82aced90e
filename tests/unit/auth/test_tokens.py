"""An entry becomes the method that it asks for, with keys from where it says."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from gateway.auth.supabase_cookie import SupabaseCookie
from gateway.auth.tokens import make_token_method
from gateway.config.token_auth import JwtAuth, SupabaseCookieAuth
from gateway.core.identity import Principal
from gateway.core.tasks import Tasks
from gateway.upstream.resolver import Resolver
from tests.plugins.issuer import SECRET, Issuer

REQUEST = make_mocked_request("GET", "/")
ANN = Principal("ann", "jwt")


@pytest.fixture
async def parts() -> AsyncIterator[tuple[Tasks, Resolver]]:
    """What a method is made with."""
    tasks, resolver = Tasks(print), Resolver()
    yield tasks, resolver
    await tasks.cancel()
    resolver.close()


def spec_of(issuer: Issuer, **fields: object) -> JwtAuth:
    """The entry of an issuer."""
    return JwtAuth.model_validate(
        issuer.spec(**{"algorithms": ("RS256", "ES256", "EdDSA"), **fields})
    )


@pytest.mark.parametrize("fields", [{}, {"jwks_url": None}], ids=["named", "discovered"])
async def test_keys_come_from_the_issuer(
    issuer: Issuer, parts: tuple[Tasks, Resolver], fields: dict[str, object]
) -> None:
    """Named in the entry, or found as OpenID Connect says."""
    method = make_token_method(spec_of(issuer, **fields), (), *parts)

    assert await method.recognise(REQUEST, issuer.token("ES256")) == ANN


async def test_a_secret_asks_nobody(issuer: Issuer, parts: tuple[Tasks, Resolver]) -> None:
    """It is all that is needed."""
    spec = spec_of(issuer, algorithms=("HS256",), jwks_url=None, secret="${ANY}")
    found = spec.model_copy(update={"secret": SecretStr(SECRET)})

    method = make_token_method(found, (), *parts)

    assert await method.recognise(REQUEST, issuer.token("HS256")) == ANN
    assert issuer.requests == []


async def test_a_cookie_is_another_method(parts: tuple[Tasks, Resolver]) -> None:
    """With the same verification behind it."""
    spec = SupabaseCookieAuth.model_validate(
        {"kind": "supabase_cookie", "url": "https://abc.supabase.co"}
    )

    assert isinstance(make_token_method(spec, (), *parts), SupabaseCookie)
