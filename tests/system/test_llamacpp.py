"""A real llama.cpp server behind the gateway: what it says arrives, and what it does not is said.

The rule here: its registry entry is the one that ships, but for the address and a limit.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import yaml

from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.llamacpp import LlamaCpp
from tests.plugins.openai_clients import async_client
from tests.plugins.raw_caller import Caller, request_bytes

SHIPPED = Path(__file__).parents[2] / "providers.yaml"
MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT_TOKENS = 24
# Always the most probable token: the same answer each time.
REPEATABLE = {"messages": MESSAGES, "temperature": 0, "max_tokens": CHAT_TOKENS}
ENDLESS = {"messages": MESSAGES, "max_tokens": 30_000, "stream": True}
FREED_S = 2  # an answer of that many tokens takes ten times as long


@pytest.fixture
async def gateway(start_gateway: StartGateway, llamacpp: LlamaCpp) -> Gateway:
    """A gateway to it, to a path that it does not have, and with and without a limit for chats."""
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["providers"]["llamacpp"]
    provider = {**shipped, "base_url": f"{llamacpp.url}/v1"}
    limited = {
        **provider,
        "models": [{"id": "tiny", "max_output": CHAT_TOKENS}],
        "params": {"send": ["temperature", "max_tokens"]},
    }
    endless = {**provider, "params": {"set": {"ignore_eos": True}}}
    nowhere = {**provider, "base_url": f"{llamacpp.url}/nowhere"}
    return await start_gateway(
        providers={
            "llamacpp": limited,
            "shipped": provider,
            "endless": endless,
            "nowhere": nowhere,
        },
        settings={"auth": [ENTRY]},
    )


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The `openai` package, calling the gateway."""
    async with async_client(f"{gateway.url}/v1", api_key="none") as opened:
        yield opened


@pytest.fixture
async def direct(llamacpp: LlamaCpp) -> AsyncIterator[openai.AsyncOpenAI]:
    """The `openai` package, calling llama.cpp."""
    async with async_client(f"{llamacpp.url}/v1", api_key="none") as opened:
        yield opened


async def complete(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    """One whole answer."""
    return await client.chat.completions.create(**{"model": "m", **REPEATABLE, **fields})


async def stream(client: openai.AsyncOpenAI, **fields: Any) -> list[Any]:
    """The chunks of one answer."""
    return [chunk async for chunk in await complete(client, stream=True, **fields)]


async def chat(gateway: Gateway, content: str = "Hello") -> tuple[int, str]:
    """The status and the text that the chat front end gets."""
    body = {
        "chatSettings": {"model": "tiny", "temperature": 0},
        "messages": [{"role": "user", "content": content}],
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/api/chat/llamacpp", json=body) as reply,
    ):
        return reply.status, await reply.text()


def text_of(chunks: list[Any], index: int = 0) -> str:
    """The text of one choice."""
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


async def test_an_answer_is_the_one_that_the_server_gives(
    client: openai.AsyncOpenAI, direct: openai.AsyncOpenAI
) -> None:
    """Tokens are chosen by what the server was sent: equal answers mean an equal request."""
    expected = await complete(direct)

    found = await complete(client, model="llamacpp/m")

    assert found.choices[0].message.content == expected.choices[0].message.content != ""
    assert found.usage.completion_tokens == CHAT_TOKENS
    assert found.model_extra["timings"]["predicted_n"] == CHAT_TOKENS


async def test_its_own_name_for_the_length_lifts_no_limit(client: openai.AsyncOpenAI) -> None:
    """It takes `n_predict` before `max_tokens`, which is what rules look at."""
    found = await complete(client, model="shipped/m", extra_body={"n_predict": 3 * CHAT_TOKENS})

    assert found.usage.completion_tokens == CHAT_TOKENS


async def test_a_stream_holds_the_same_answer_piece_by_piece(
    client: openai.AsyncOpenAI, direct: openai.AsyncOpenAI
) -> None:
    """One chunk a token, and none without choices to callers who did not ask for usage."""
    whole = await complete(direct)

    chunks = await stream(client, model="llamacpp/m")

    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert len(chunks) > CHAT_TOKENS // 2


async def test_usage_is_the_servers_own_count(client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    """It is asked for in any case: what is booked is what was counted, not an estimate."""
    chunks = await stream(client, model="llamacpp/m", stream_options={"include_usage": True})
    await stream(client, model="llamacpp/m")

    usage = chunks[-1].usage
    settled = await gateway.log.wait_for_settled(2)
    counts = {(line["tokens_in"], line["tokens_out"], line["tokens_source"]) for line in settled}
    assert (chunks[-1].choices, usage.completion_tokens) == ([], CHAT_TOKENS)
    assert counts == {(usage.prompt_tokens, usage.completion_tokens, "provider")}


async def test_a_chat_streams_the_same_text(gateway: Gateway, direct: openai.AsyncOpenAI) -> None:
    """The chat front end gets what an OpenAI client gets, without its leading blank."""
    whole = await complete(direct)

    status, text = await chat(gateway)

    assert (status, text) == (200, whole.choices[0].message.content.lstrip())


async def test_two_choices_come_interleaved_as_the_server_makes_them(
    client: openai.AsyncOpenAI,
) -> None:
    """llama.cpp may begin with choice 1; sorting would hold back what is there."""
    chunks = await stream(
        client, model="llamacpp/m", n=2, temperature=1, stream_options={"include_usage": True}
    )

    indexes = [choice.index for chunk in chunks for choice in chunk.choices]
    turns = sum(before != after for before, after in itertools.pairwise(indexes))
    reasons = [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert turns > 1
    assert reasons == ["length", "length"]
    assert text_of(chunks, 0) != text_of(chunks, 1)
    assert chunks[-1].usage is not None


async def test_the_probabilities_of_tokens_arrive(client: openai.AsyncOpenAI) -> None:
    """They are numbers that no caller can check: none may be lost or rounded on the way."""
    chunks = await stream(client, model="llamacpp/m", logprobs=True, top_logprobs=2)

    tokens = [
        token
        for chunk in chunks
        for choice in chunk.choices
        for token in (choice.logprobs.content if choice.logprobs else ())
    ]
    assert bytes(b for token in tokens for b in token.bytes).decode() == text_of(chunks)
    assert {len(token.top_logprobs) for token in tokens} == {2}


async def test_a_prompt_that_is_too_long_is_refused_with_the_figures(
    client: openai.AsyncOpenAI, gateway: Gateway
) -> None:
    """A client shortens the conversation by how much it is over."""
    content = "stone " * 20_000
    with pytest.raises(openai.BadRequestError) as caught:
        await complete(
            client, model="llamacpp/m", messages=[{"role": "user", "content": content}], stream=True
        )

    status, text = await chat(gateway, content)

    body = caught.value.body
    assert isinstance(body, dict)
    assert (body["type"], body["code"]) == ("exceed_context_size_error", "400")
    assert body["n_prompt_tokens"] > body["n_ctx"] > 0
    assert (status, body["message"] in text) == (400, True)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"n": 99}, 400, "invalid_request_error"),
        ({"temperature": "warm"}, 400, "invalid_request_error"),
        ({"model": "nowhere/m"}, 404, "not_found_error"),
    ],
)
async def test_a_refusal_keeps_its_status_and_its_reason(
    client: openai.AsyncOpenAI, fields: dict[str, Any], status: int, kind: str, *, is_stream: bool
) -> None:
    """The server knows what is wrong with a request; the caller is told in its words."""
    with pytest.raises(openai.APIStatusError) as caught:
        await complete(client, stream=is_stream, **{"model": "llamacpp/m", **fields})

    assert (caught.value.status_code, caught.value.type) == (status, kind)
    assert caught.value.response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("path", "body", "mark"),
    [
        ("/v1/chat/completions", {"model": "endless/m", **ENDLESS}, b'"content":"'),
        ("/api/chat/endless", {"chatSettings": {"model": "m"}, "messages": MESSAGES}, b"\r\n\r\n"),
    ],
    ids=["v1", "chat"],
)
async def test_a_caller_who_leaves_frees_the_slot(
    gateway: Gateway, llamacpp: LlamaCpp, path: str, body: dict[str, Any], mark: bytes
) -> None:
    """A server has few slots: an answer that nobody reads keeps everybody else waiting."""
    async with Caller(gateway.port) as caller:
        await caller.send(request_bytes(path, body))
        await caller.read_until(mark)
        assert await count_busy_slots(llamacpp) == 1

    async with asyncio.timeout(FREED_S):
        while await count_busy_slots(llamacpp):  # each look is a request: no sleep is needed
            pass
    assert (await gateway.log.wait_for_settled())[0]["outcome"] == "client_gone"


async def count_busy_slots(llamacpp: LlamaCpp) -> int:
    """How many answers the server is making."""
    async with aiohttp.ClientSession() as session, session.get(f"{llamacpp.url}/slots") as reply:
        return sum(slot["is_processing"] for slot in await reply.json())
