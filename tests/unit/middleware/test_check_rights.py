"""Rights of a key, asked after names are resolved."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.config.provider_blocks import Model, ParamsSpec
from gateway.config.registry import Provider
from gateway.core.dialect import Dialect
from gateway.core.errors import ModelNotAllowedError, ProviderNotAllowedError
from gateway.core.exchange import Exchange
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.key_holder import KeyHolder
from gateway.middleware.check_rights import check_rights
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, PROMPT, Call
from gateway.wire.completions_request import read_completions

GROQ = Provider(
    name="groq",
    base_url="https://api.groq.com/openai/v1",
    models=(Model(id="llama-3.3-70b", alias="llama"), Model(id="whisper")),
)


async def pass_through(
    principal: Principal,
    model: str | None = "llama-3.3-70b",
    provider: Provider = GROQ,
    **fields: object,
) -> int:
    """Ask for a model of groq; None: a request that asks for no answer."""
    request = make_mocked_request("POST", "/")
    request[EXCHANGE] = Exchange("id", 0.0, "POST", "/", "", (), principal=principal)
    if model is not None:
        request[CALL] = Call(Dialect.OPENAI, provider, model, stream=False, wants_usage=False)
        body = {"model": f"groq/{model}", "messages": [{"role": "user"}], **fields}
        request[PROMPT] = read_completions(json.dumps(body).encode())

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


@pytest.mark.parametrize(
    "fields",
    [
        {"models": ["whisper"]},
        {"models": []},
        {"route": "fallback"},
        {"preset": "large"},
        {"fallbacks": [{"model": "whisper"}]},
        {"context_window_fallbacks": [{"llama": ["whisper"]}]},
        {"content_policy_fallbacks": [{"llama": ["whisper"]}]},
    ],
    ids=str,
)
async def test_a_field_that_names_another_model_is_refused(fields: dict[str, object]) -> None:
    """OpenRouter takes the next one for any error, such as a prompt that is too long."""
    alice = holder(models=frozenset({"groq/llama"}))
    with pytest.raises(ModelNotAllowedError) as refused:
        await pass_through(alice, **fields)

    assert refused.value.param in fields
    assert await pass_through(alice, **dict.fromkeys(fields)) == 200  # null is nothing
    assert await pass_through(holder(providers=frozenset({"groq"})), **fields) == 200
    dropping = GROQ.model_copy(update={"params": ParamsSpec(drop=tuple(fields))})
    assert await pass_through(alice, provider=dropping, **fields) == 200


async def test_both_lists_have_to_allow_it() -> None:
    """A model of a provider that the key is not for stays closed."""
    both = holder(providers=frozenset({"other"}), models=frozenset({"groq/llama"}))

    with pytest.raises(ProviderNotAllowedError):
        await pass_through(both)


async def test_a_request_that_asks_for_no_answer_passes() -> None:
    """Lists are not limited."""
    assert await pass_through(holder(providers=frozenset({"other"})), None) == 200
