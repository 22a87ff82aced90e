"""What is on record of a request once it has been read: the log, the ledger and limits go by it."""

import json

import pytest

from gateway.config.provider_blocks import Model
from gateway.core.dialect import Dialect
from tests.plugins.chain import StartChain, make_registry
from tests.unit.middleware.test_read_request import CHAT, MESSAGES, NAMED, show_call


async def test_what_was_understood_is_on_record(start_chain: StartChain) -> None:
    """The log line is about this call."""
    chain = await start_chain(show_call)

    await chain.ask("POST", "/api/chat/groq", body=CHAT)

    exchange = await chain.wait_settled()
    assert (exchange.provider, exchange.model, exchange.stream) == ("groq", "m", True)
    assert (exchange.dialect, exchange.waited_s) == (Dialect.TEXT, 0)
    assert exchange.bytes_in == len(CHAT)
    assert 0 < exchange.prompt_tokens < len(CHAT) / 4
    assert exchange.price is None


async def test_an_sdks_call_is_on_record_too(start_chain: StartChain) -> None:
    """In the same words."""
    chain = await start_chain(show_call)
    body = json.dumps({"model": "groq/m", "messages": MESSAGES}).encode()

    await chain.ask("POST", "/v1/chat/completions", body=body)

    exchange = await chain.wait_settled()
    assert (exchange.provider, exchange.model, exchange.stream) == ("groq", "m", False)
    assert exchange.dialect is Dialect.OPENAI
    assert 0 < exchange.prompt_tokens < len(body) / 4


async def test_the_provider_is_on_record_before_its_model_is_found(start_chain: StartChain) -> None:
    """A call that is refused for its model is about that provider."""
    chain = await start_chain(show_call)
    body = json.dumps({"chatSettings": {"model": ""}, "messages": MESSAGES}).encode()

    assert (await chain.ask("POST", "/api/chat/groq", body=body)).status == 400

    assert (await chain.wait_settled()).provider == "groq"


async def test_the_price_of_the_model_is_on_record(start_chain: StartChain) -> None:
    """I11: as it was when the request came, under whichever name the model was asked for."""
    model = Model(id="m", alias="a", price_in_usd_per_mtok=1, price_out_usd_per_mtok=2)
    priced = NAMED.model_copy(update={"models": (model,)})
    chain = await start_chain(show_call, registry=make_registry(named=priced))
    body = json.dumps({"model": "named/a", "messages": MESSAGES}).encode()

    await chain.ask("POST", "/v1/chat/completions", body=body)

    exchange = await chain.wait_settled()
    assert exchange.price == model.price
    assert exchange.price is not None


@pytest.mark.parametrize(
    ("price", "fields", "is_priced"),
    [
        (0, {}, True),
        (0, {"models": None}, True),
        (0, {"models": ["dear"]}, False),
        (1, {"models": ["dear"]}, True),
    ],
    ids=str,
)
async def test_a_free_model_has_no_price_where_another_may_answer(
    start_chain: StartChain, price: int, fields: dict[str, object], *, is_priced: bool
) -> None:
    """OpenRouter takes the next one for any error, and what is free is in no budget."""
    model = Model(id="m", price_in_usd_per_mtok=price, price_out_usd_per_mtok=price)
    priced = NAMED.model_copy(update={"models": (model,)})
    chain = await start_chain(show_call, registry=make_registry(named=priced))
    body = json.dumps({"model": "named/m", "messages": MESSAGES, **fields}).encode()

    await chain.ask("POST", "/v1/chat/completions", body=body)

    assert (await chain.wait_settled()).price == (model.price if is_priced else None)
