"""The `openai` package against a running gateway: what its users do, and what they catch.

The rule here: the package as it is, with its own defaults; only its address is the gateway's.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from gateway.simulator import Simulator
from tests.contract.calls import simulated
from tests.contract.entries import entry
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.openai_clients import async_client, blocking_client

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
TEXT = "This is a simulated answer. It says what it was told to say, and nothing else."
ResultT = TypeVar("ResultT")


@pytest.fixture
async def client(single: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The package's async client, its own retries on."""
    async with async_client(f"{single.url}/v1", api_key="unused") as opened:
        yield opened


@contextmanager
def sync_client(gateway: Gateway, **options: Any) -> Iterator[openai.OpenAI]:
    """The package's blocking client."""
    with blocking_client(f"{gateway.url}/v1", api_key="unused", **options) as opened:
        yield opened


async def in_thread(gateway: Gateway, use: Callable[[openai.OpenAI], ResultT]) -> ResultT:
    """Use the blocking client beside the loop that the gateway runs on."""

    def run() -> ResultT:
        with sync_client(gateway) as opened:
            return use(opened)

    return await asyncio.to_thread(run)


async def test_a_completion_is_read_whole(client: openai.AsyncOpenAI, simulator: Simulator) -> None:
    """The first line of every tutorial."""
    completion = await client.chat.completions.create(
        model="sim/plain", messages=HELLO, temperature=0.2, extra_body={"vendor_field": 1.5}
    )

    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 0
    assert b'"vendor_field":1.5' in simulator.journal.last.body
    assert simulator.journal.last.header("authorization") == f"Bearer {CREDENTIAL}"


async def test_a_stream_is_read_to_its_end(client: openai.AsyncOpenAI) -> None:
    """Text, finish reason and, because it was asked for, the usage in a chunk of its own."""
    stream = await client.chat.completions.create(
        model="sim/plain", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == TEXT
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert [c.usage is not None for c in chunks] == [False] * (len(chunks) - 1) + [True]


async def test_a_stream_without_usage_has_a_choice_in_every_chunk(
    client: openai.AsyncOpenAI,
) -> None:
    """`chunk.choices[0]` without a check is what most programs do."""
    stream = await client.chat.completions.create(model="sim/plain", messages=HELLO, stream=True)

    assert all([len(chunk.choices) == 1 async for chunk in stream])


async def test_the_blocking_client_reads_both(single: Gateway) -> None:
    """Scripts and notebooks use this one."""

    def use(client: openai.OpenAI) -> tuple[str | None, str]:
        whole = client.chat.completions.create(model="sim/plain", messages=HELLO)
        stream = client.chat.completions.create(model="sim/plain", messages=HELLO, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        return whole.choices[0].message.content, text

    assert await in_thread(single, use) == (TEXT, TEXT)


async def test_tool_calls_come_together_again(client: openai.AsyncOpenAI) -> None:
    """The package joins their pieces by index; one that is lost breaks the JSON."""
    model = "sim/" + simulated(text="", tool_calls=[{"pieces": 5}])
    async with client.chat.completions.stream(model=model, messages=HELLO) as stream:
        completion = await stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", '{"city":"Paris"}')
    ]


async def test_two_choices_are_told_apart(client: openai.AsyncOpenAI) -> None:
    """Interleaved on the wire, whole in the program."""
    stream = await client.chat.completions.create(
        model="sim/" + simulated(tokens=["a", "b", "c"], first_choice=1),
        messages=HELLO,
        n=2,
        stream=True,
    )
    texts = {0: "", 1: ""}
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""

    assert texts == {0: "abc", 1: "abc"}


ERRORS: list[tuple[str, type[openai.APIStatusError], int, str]] = [
    ("unauthorized", openai.AuthenticationError, 401, "upstream_credential_rejected"),
    ("not-found", openai.NotFoundError, 404, "model_not_found"),
    ("rate-limited", openai.RateLimitError, 429, "rate_limit_exceeded"),
    ("openai-insufficient-quota", openai.RateLimitError, 429, "insufficient_quota"),
    ("mistral-422", openai.UnprocessableEntityError, 422, "upstream_rejected"),
    ("string-error", openai.BadRequestError, 400, "upstream_rejected"),
    ("server-error", openai.InternalServerError, 500, "upstream_server_error"),
    ("unavailable", openai.InternalServerError, 503, "service_unavailable"),
    ("bad-gateway-page", openai.InternalServerError, 502, "upstream_server_error"),
    ("cut-before-head", openai.InternalServerError, 502, "upstream_connect"),
]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case[0])
async def test_a_failure_is_the_exception_of_its_status_and_is_not_repeated(
    client: openai.AsyncOpenAI,
    simulator: Simulator,
    case: tuple[str, type[openai.APIStatusError], int, str],
    *,
    is_stream: bool,
) -> None:
    """The package repeats 429 and 5xx by itself: its three tries on three of ours would be nine."""
    model, kind, status, code = case

    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model=f"sim/{model}", messages=HELLO, stream=is_stream)

    error = caught.value
    assert type(error) is kind
    assert (error.status_code, error.code) == (status, code)
    assert error.type
    assert error.request_id == error.response.headers["x-request-id"]
    assert simulator.journal.count == 1


async def test_only_the_gateway_s_own_attempts_are_made(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """What the registry says about retries is what the provider sees, whoever calls."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url, retries=2)},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    model = simulated(error={"status": 503, "retry_after": "0"})

    with pytest.raises(openai.InternalServerError):
        await in_thread(
            gateway,
            lambda client: client.chat.completions.create(model=f"sim/{model}", messages=HELLO),
        )

    assert simulator.journal.count == 3


async def test_a_request_that_is_wrong_names_its_field(
    client: openai.AsyncOpenAI, simulator: Simulator
) -> None:
    """`param` says where to look; the provider is not asked."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="sim/plain", messages=HELLO, n=0)

    assert (caught.value.param, caught.value.type) == ("n", "invalid_request_error")
    assert simulator.journal.count == 0


async def test_a_wrong_key_is_an_authentication_error(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """The key that the package sends is the gateway's; the provider's stays inside."""
    digest = hashlib.sha256(b"gw-right").hexdigest()
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url)},
        settings={"auth": [{"kind": "gateway_key", "keys": {"alice": f"sha256:{digest}"}}]},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    async with async_client(f"{gateway.url}/v1", api_key="gw-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="sim/plain", messages=HELLO)
        right = client.with_options(api_key="gw-right")
        completion = await right.chat.completions.create(model="sim/plain", messages=HELLO)

    assert caught.value.code == "unauthenticated"
    assert completion.choices[0].message.content == TEXT
    assert simulator.journal.last.header("authorization") == f"Bearer {CREDENTIAL}"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("openai-stream-error", "The model stopped unexpectedly."),
        ("openrouter-error", "The model stopped unexpectedly."),
        ("groq-error", "The model stopped unexpectedly."),
        ("cut", None),
        ("reset", None),
        ("no-finish", None),
    ],
)
async def test_a_stream_that_fails_raises_after_the_text_that_came(
    client: openai.AsyncOpenAI, simulator: Simulator, model: str, message: str | None
) -> None:
    """A program must not take half an answer for a whole one, nor lose the half."""
    texts: list[str] = []

    async def read(stream: openai.AsyncStream[ChatCompletionChunk]) -> None:
        async for chunk in stream:
            texts.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - it raises half-way

    if model == "no-finish":
        model = simulated(finish="never", done="never")
    stream = await client.chat.completions.create(model=f"sim/{model}", messages=HELLO, stream=True)

    with pytest.raises(openai.APIError) as caught:
        await read(stream)

    assert "".join(texts)
    assert TEXT.startswith("".join(texts))
    assert caught.value.message
    assert message is None or caught.value.message == message
    assert simulator.journal.count == 1


async def test_leaving_a_stream_ends_it_at_the_provider(
    client: openai.AsyncOpenAI, single: Gateway, simulator: Simulator
) -> None:
    """`break` in a loop is how programs stop; tokens after it cost money for nothing."""
    stream = await client.chat.completions.create(model="sim/stall", messages=HELLO, stream=True)
    async with stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break

    served = await simulator.journal.wait_for(lambda served: served.peer_left.is_set())
    assert not served.finished
    assert (await single.log.wait_for_settled())[0]["outcome"] == "client_gone"


async def test_a_cancelled_task_ends_its_request_at_the_provider(
    client: openai.AsyncOpenAI, single: Gateway, simulator: Simulator
) -> None:
    """Also while the provider is silent, and for an answer that is not streamed."""
    asking = asyncio.ensure_future(
        client.chat.completions.create(model="sim/stall-before-head", messages=HELLO)
    )
    await simulator.journal.wait_for_count(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    await simulator.journal.wait_for(lambda served: served.peer_left.is_set())
    assert (await single.log.wait_for_settled())[0]["outcome"] == "client_gone"


async def test_closing_a_blocking_stream_ends_it_at_the_provider(
    single: Gateway, simulator: Simulator
) -> None:
    """Leaving the `with` is all that a script does; the rest of the answer is not read first."""

    def use(client: openai.OpenAI) -> str:
        with client.chat.completions.create(
            model="sim/stall", messages=HELLO, stream=True
        ) as stream:
            return next(filter(None, (chunk.choices[0].delta.content for chunk in stream)))

    assert TEXT.startswith(await in_thread(single, use))

    await simulator.journal.wait_for(lambda served: served.peer_left.is_set())


async def test_a_client_that_gives_up_waiting_ends_its_request(
    client: openai.AsyncOpenAI, simulator: Simulator
) -> None:
    """The package's own deadline, shorter than ours."""
    hasty = client.with_options(timeout=0.3, max_retries=0)

    with pytest.raises(openai.APITimeoutError):
        await hasty.chat.completions.create(model="sim/stall-before-head", messages=HELLO)

    await simulator.journal.wait_for(lambda served: served.peer_left.is_set())
    assert simulator.journal.count == 1


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_provider_that_never_begins_is_504_and_not_asked_again(
    start_gateway: StartGateway, simulator: Simulator, *, is_stream: bool
) -> None:
    """Three times two minutes of waiting is what a user would call hanging."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url, timeouts={"first_content_s": 0.05}, retries=2)},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    with pytest.raises(openai.InternalServerError) as caught:
        await in_thread(
            gateway,
            lambda client: client.chat.completions.create(
                model="sim/stall-before-head", messages=HELLO, stream=is_stream
            ),
        )

    assert (caught.value.status_code, caught.value.code) == (504, "upstream_first_content_timeout")
    assert simulator.journal.count == 1


async def test_the_raw_response_has_the_provider_s_bytes_and_the_gateway_s_id(
    client: openai.AsyncOpenAI, single: Gateway, simulator: Simulator
) -> None:
    """`x-request-id` is what a user reports and an operator looks for."""
    raw = await client.chat.completions.with_raw_response.create(
        model="sim/deepseek-blank-lines", messages=HELLO
    )

    assert raw.content == simulator.journal.last.body_sent
    assert raw.status_code == 200
    settled = await single.log.wait_for_settled()
    assert raw.headers["x-request-id"] == settled[0]["request_id"]
    completion = raw.parse()
    assert completion._request_id == settled[0]["request_id"]  # noqa: SLF001 - documented by the package
    assert completion.choices[0].message.content == TEXT


async def test_models_are_listed_and_found(shipped: Gateway) -> None:
    """The package writes the slash of an id as %2F."""
    async with async_client(f"{shipped.url}/v1", api_key="unused") as client:
        ids = [model.id async for model in client.models.list()]
        model = await client.models.retrieve("groq/openai/gpt-oss-120b")
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("groq/none")

    assert "groq/openai/gpt-oss-120b" in ids
    assert model.id == "groq/openai/gpt-oss-120b"
    assert model.owned_by == "groq"
    assert caught.value.code == "model_not_found"
