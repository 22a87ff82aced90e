"""Rights of a key, asked after names are resolved."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.config.provider_blocks import Model
from gateway.config.registry import Provider
from gateway.core.dialect import Dialect
from gateway.core.errors import ModelNotAllowedError, ProviderNotAllowedError
from gateway.core.exchange import Exchange
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.key_holder import KeyHolder
from gateway.middleware.check_rights import check_rights
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, Call

GROQ = Provider(
    name="groq",
    base_url="https://api.groq.com/openai/v1",
    models=(Model(id="llama-3.3-70b", alias="llama"), Model(id="whisper")),
)


async def pass_through(principal: Principal, model: str | None = "llama-3.3-70b") -> int:
    """Ask for a model of groq; None: a request that asks for no answer."""
    request = make_mocked_request("POST", "/")
    request[EXCHANGE] = Exchange("id", 0.0, "POST", "/", "", (), principal=principal)
    if model is not None:
        request[CALL] = Call(Dialect.OPENAI, GROQ, model, stream=False, wants_usage=False)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response()

    return (await check_rights(request, answer)).status


def holder(**rights: frozenset[str]) -> KeyHolder:
    """Somebody with a key that has rights."""
    return KeyHolder("alice", "gateway_key", **rights)


@pytest.mark.parametrize(
    "principal",
    [
        ANONYMOUS,
        holder(),
        holder(providers=frozenset({"groq", "other"})),
        holder(models=frozenset({"groq/llama-3.3-70b"})),
        holder(models=frozenset({"groq/llama"})),
    ],
    ids=["anonymous", "any", "providers", "model", "alias"],
)
async def test_what_a_key_is_for_passes(principal: Principal) -> None:
    """By the model's name or its alias; no rights are all rights."""
    assert await pass_through(principal) == 200


async def test_another_provider_or_model_is_refused() -> None:
    """Each with its own error."""
    with pytest.raises(ProviderNotAllowedError):
        await pass_through(holder(providers=frozenset({"other"})))
    with pytest.raises(ModelNotAllowedError):
        await pass_through(holder(models=frozenset({"groq/llama"})), "whisper")
    with pytest.raises(ModelNotAllowedError):
        await pass_through(holder(models=frozenset({"groq/llama"})), "not-in-the-registry")
    with pytest.raises(ModelNotAllowedError):
        await pass_through(holder(models=frozenset({"other/llama"})))


async def test_both_lists_have_to_allow_it() -> None:
    """A model of a provider that the key is not for stays closed."""
    both = holder(providers=frozenset({"other"}), models=frozenset({"groq/llama"}))

    with pytest.raises(ProviderNotAllowedError):
        await pass_through(both)


async def test_a_request_that_asks_for_no_answer_passes() -> None:
    """Lists are not limited."""
    assert await pass_through(holder(providers=frozenset({"other"})), None) == 200
