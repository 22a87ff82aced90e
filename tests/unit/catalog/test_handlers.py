"""The catalogue over HTTP, answered from the registry alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from gateway.catalog.handlers import (
    show_keys,
    show_model,
    show_models,
    show_provider_models,
    show_providers,
)
from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange
from gateway.core.identity import ANONYMOUS
from gateway.core.key_holder import KeyHolder
from gateway.credentials.finder import CREDENTIALS, CredentialFinder
from gateway.credentials.pools import Pools
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import REGISTRY

Ask = Callable[..., Awaitable[tuple[int, Any]]]

CALLERS = {
    "": ANONYMOUS,
    "of groq": KeyHolder("bob", "gateway_key", providers=frozenset({"groq"})),
    "of llama": KeyHolder("carol", "gateway_key", models=frozenset({"groq/llama"})),
    "of whisper": KeyHolder("dave", "gateway_key", models=frozenset({"groq/whisper"})),
}


def make_registry() -> Registry:
    """Two providers; nobody answers at either address."""
    groq = Provider.model_validate(
        {
            "name": "groq",
            "base_url": "https://groq.invalid/v1",
            "models": [{"id": "org/llama:free", "alias": "llama"}],
        }
    )
    xai = Provider.model_validate(
        {"name": "xai", "base_url": "https://xai.invalid/v1", "models": [{"id": "grok"}]}
    )
    return Registry({"groq": groq, "xai": xai}, {"groq": (Credential("K", SecretStr("k")),)})


@web.middleware
async def render(request: web.Request, handler: Any) -> web.StreamResponse:
    """Errors as their code; the chain's own rendering is tested elsewhere."""
    caller = CALLERS[request.headers.get("X-Caller", "")]
    request[EXCHANGE] = Exchange("id", 0.0, "GET", "/", "", (), principal=caller)
    try:
        return await handler(request)
    except GatewayError as error:
        return web.json_response(error.code, status=error.status)


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """GET a path: the status and the JSON."""
    app = web.Application(middlewares=[render])
    app[REGISTRY] = registry = make_registry()
    app[CREDENTIALS] = CredentialFinder({}, Pools(registry.credentials))
    app.router.add_get("/api/keys", show_keys)
    app.router.add_get("/api/providers", show_providers)
    app.router.add_get("/api/providers/{provider}/models", show_provider_models)
    app.router.add_get("/v1/models", show_models)
    app.router.add_get("/v1/models/{model:.+}", show_model)
    async with TestClient(TestServer(app)) as client:

        async def get(path: str, caller: str = "") -> tuple[int, Any]:
            async with client.get(path, headers={"X-Caller": caller}) as answer:
                return answer.status, await answer.json()

        yield get


async def test_the_flags_come_in_the_shape_the_front_end_reads(ask: Ask) -> None:
    """`isUsingEnvKeyMap`, a boolean each (contract 1.5)."""
    status, answer = await ask("/api/keys")

    assert (status, set(answer)) == (200, {"isUsingEnvKeyMap"})
    assert answer["isUsingEnvKeyMap"]["groq"] is True
    assert answer["isUsingEnvKeyMap"]["xai"] is False


async def test_providers_are_listed(ask: Ask) -> None:
    """Those that cannot be called as well, so that one sees what is missing."""
    status, answer = await ask("/api/providers")

    assert status == 200
    assert [(each["name"], each["callable"]) for each in answer["providers"]] == [
        ("groq", True),
        ("xai", False),
    ]


async def test_the_models_of_a_provider_are_listed(ask: Ask) -> None:
    """Whether or not it can be called now."""
    assert (await ask("/api/providers/xai/models"))[1]["models"][0]["id"] == "grok"


async def test_a_provider_that_is_not_there_is_not_found(ask: Ask) -> None:
    """With a code of its own: the path is right."""
    assert await ask("/api/providers/nobody/models") == (404, "provider_not_found")


async def test_models_come_as_openai_lists_them(ask: Ask) -> None:
    """An SDK reads `data`."""
    status, answer = await ask("/v1/models")

    assert (status, answer["object"]) == (200, "list")
    assert [each["id"] for each in answer["data"]] == ["groq/org/llama:free"]


@pytest.mark.parametrize("name", ["groq/org/llama:free", "groq/llama", "groq%2Forg%2Fllama:free"])
async def test_a_model_is_found_by_its_id_or_alias(ask: Ask, name: str) -> None:
    """Ids hold slashes; an SDK may escape them."""
    status, answer = await ask(f"/v1/models/{name}")

    assert (status, answer["id"]) == (200, "groq/org/llama:free")


@pytest.mark.parametrize("name", ["groq", "groq/", "groq/other", "xai/grok", "nobody/x", "llama"])
async def test_a_model_that_cannot_be_called_is_not_found(ask: Ask, name: str) -> None:
    """What is listed works; what is not listed is not there."""
    assert await ask(f"/v1/models/{name}") == (404, "model_not_found")


@pytest.mark.parametrize("caller", ["of groq", "of llama"])
async def test_a_key_sees_what_it_is_for(ask: Ask, caller: str) -> None:
    """As one that may use everything does."""
    for path in ("/v1/models", "/v1/models/groq/llama", "/api/providers/groq/models"):
        assert await ask(path, caller) == await ask(path)
    _, listed = await ask("/api/providers", caller)
    assert [each["name"] for each in listed["providers"]] == ["groq"]
    assert "xai" not in (await ask("/api/keys", caller))[1]["isUsingEnvKeyMap"]


async def test_what_a_key_is_not_for_is_not_there(ask: Ask) -> None:
    """A 403 would say that there is such a thing (E16)."""
    assert await ask("/api/providers/xai/models", "of groq") == (404, "provider_not_found")
    assert await ask("/v1/models/groq/llama", "of whisper") == (404, "model_not_found")
    assert (await ask("/v1/models", "of whisper"))[1]["data"] == []
    assert (await ask("/api/providers/groq/models", "of whisper"))[1] == {"models": []}
