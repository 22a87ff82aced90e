"""Real clients behind a real nginx with the configuration that ships.

What they make of an answer must not depend on whether nginx stands between: whole is whole, cut is
cut, an error is theirs to read, and their leaving reaches the provider.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from gateway.simulator import Simulator
from tests.contract.calls import HELLO, chat_body, simulated
from tests.contract.entries import entry
from tests.contract.node import finish, start
from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.proxies.row import listening
from tests.plugins.proxies.running import KINDS, NGINX_HTTP10, Proxies, Proxy

TEXT = "This is a simulated answer. It says what it was told to say, and nothing else."
LEFT_S = 5.0


@pytest.fixture(params=[KINDS["nginx"], NGINX_HTTP10], ids=["shipped", "http10"])
def nginx(proxies: Proxies, request: pytest.FixtureRequest) -> Proxy:
    """nginx as shipped, and with the HTTP/1.0 that it speaks unless told not to."""  # noqa: D403 - a name
    return proxies.start_on_loopback(request.param)


@pytest.fixture
async def gateway(start_gateway: StartGateway, simulator: Simulator, nginx: Proxy) -> Gateway:
    """One that anybody may call, and that asks once."""
    return await start_gateway(
        providers={"sim": entry(simulator.base_url)},
        settings={"auth": [ENTRY], "server": listening(nginx)},
        environ={"SIM_API_KEY": CREDENTIAL},
    )


@pytest.fixture
async def client(nginx: Proxy, gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:  # noqa: ARG001 - it is asked
    """The `openai` package, its own retries on."""
    async with openai.AsyncOpenAI(base_url=f"{nginx.url}/v1", api_key="unused") as opened:
        yield opened


async def show(node: Path, nginx: Proxy, model: str) -> object:
    """What the user of a front end sees of one answer."""
    url = f"{nginx.url}/api/chat/sim"
    return await finish(await start(node, "chat-front-end.mjs", url, json.dumps(chat_body(model))))


async def test_the_openai_package_reads_a_stream_to_its_end(client: openai.AsyncOpenAI) -> None:
    """All of the text, and the reason why it ended."""
    stream = await client.chat.completions.create(model="sim/plain", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_openai_package_raises_when_a_stream_fails(client: openai.AsyncOpenAI) -> None:
    """It never sees a finish reason of ours."""
    stream = await client.chat.completions.create(model="sim/cut", messages=HELLO, stream=True)
    chunks: list[ChatCompletionChunk] = []

    async def read() -> None:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - what came before it raised

    with pytest.raises(openai.APIError):
        await read()

    assert chunks
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * len(chunks)


async def test_the_openai_package_reads_an_error_and_does_not_repeat(
    client: openai.AsyncOpenAI, gateway: Gateway, simulator: Simulator
) -> None:
    """`x-should-retry` comes through, and nginx keeps the body."""
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="sim/rate-limited", messages=HELLO)

    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.request_id == (await gateway.log.wait_for_settled())[0]["request_id"]
    assert simulator.journal.count == 1


async def test_the_openai_package_leaving_ends_the_answer_at_the_provider(
    client: openai.AsyncOpenAI, gateway: Gateway, simulator: Simulator
) -> None:
    """nginx hangs up on the gateway when its own caller has."""  # noqa: D403 - a name
    stream = await client.chat.completions.create(model="sim/stall", messages=HELLO, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()

    await simulator.journal.wait_for(lambda served: served.peer_left.is_set(), LEFT_S)
    assert (await gateway.log.wait_for_settled())[0]["outcome"] == "client_gone"


@pytest.mark.usefixtures("gateway")
async def test_a_front_end_in_node_shows_what_it_shows_without_nginx(
    node_path: Path, nginx: Proxy
) -> None:
    """The text, half a text that it knows to be half, and the sentence of an error."""
    cut = simulated(tokens=["one", "two"], cut={"after_tokens": 2})

    models = ("plain", cut, "unauthorized")
    seen = await asyncio.gather(*(show(node_path, nginx, model) for model in models))

    assert seen == [
        {"status": 200, "text": TEXT, "failed": False},
        {"status": 200, "text": "onetwo", "failed": "broken"},
        {
            "status": 401,
            "toast": "Sim API Key is incorrect. Please fix it in your profile settings.",
        },
    ]
