"""What the `openai` package makes of recorded answers: through the gateway as from the provider.

The rule here: callers change nothing but the address, so nothing else may change for them.
"""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from gateway.simulator import Simulator
from tests.plugins.gateway import Gateway
from tests.plugins.openai_clients import async_client
from tests.plugins.recorded_streams import (
    FAILURES,
    MESSAGES,
    RANDOM,
    REPLIES,
    STREAMS,
    Stream,
    each,
    play,
)
from tests.plugins.recordings import Recording


@pytest.fixture
async def through_gateway(recorded_gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The `openai` package, calling the gateway."""
    async with async_client(f"{recorded_gateway.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def direct(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """The `openai` package, calling the provider."""
    async with async_client(simulator.base_url, api_key="none", max_retries=0) as client:
        yield client


async def read_all(client: openai.AsyncOpenAI, model: str) -> tuple[list[Any], Any]:
    """Every chunk that the package reads, and the exception that ends them."""
    chunks = []
    try:
        stream = await client.chat.completions.create(
            model=model,
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            chunks.append(chunk.to_dict(warnings=False))  # noqa: PERF401 - those before the exception count
    except openai.APIError as error:
        return chunks, (type(error), error.message, error.code, error.body)
    return chunks, None


async def read_failure(client: openai.AsyncOpenAI, model: str) -> openai.APIStatusError:
    """The exception that the package raises instead of an answer."""
    with pytest.raises(openai.APIStatusError) as caught:
        await client.chat.completions.create(model=model, messages=MESSAGES)
    return caught.value


@each("stream", STREAMS)
async def test_the_openai_package_reads_the_same_through_the_gateway(
    through_gateway: openai.AsyncOpenAI,
    direct: openai.AsyncOpenAI,
    simulator: Simulator,
    stream: Stream,
) -> None:
    """Callers change nothing but the address, so nothing else may change for them."""
    play(simulator, stream.sent(), RANDOM[0])
    play(simulator, stream.sent(), RANDOM[0])

    expected = await read_all(direct, "m")
    found = await read_all(through_gateway, "sim/m")

    assert found == expected
    assert (expected[1] is None) == (stream.fault is None)


@each("recording", REPLIES)
async def test_the_openai_package_reads_the_same_reply_through_the_gateway(
    through_gateway: openai.AsyncOpenAI,
    direct: openai.AsyncOpenAI,
    simulator: Simulator,
    recording: Recording,
) -> None:
    """Callers change nothing but the address, so nothing else may change for them."""
    play(simulator, recording.body.decode())
    play(simulator, recording.body.decode())

    expected = await direct.chat.completions.create(model="m", messages=MESSAGES)
    found = await through_gateway.chat.completions.create(model="sim/m", messages=MESSAGES)

    assert found.to_dict() == expected.to_dict()


@each("recording", FAILURES)
async def test_the_openai_package_raises_the_same_error_through_the_gateway(
    through_gateway: openai.AsyncOpenAI,
    direct: openai.AsyncOpenAI,
    simulator: Simulator,
    recording: Recording,
) -> None:
    """Callers tell errors apart by class, status and code, and show people the message."""
    fault = recording.json["error"]
    play(simulator, recording.body.decode(), status=recording.status)
    play(simulator, recording.body.decode(), status=recording.status)

    expected = await read_failure(direct, "m")
    found = await read_failure(through_gateway, "sim/m")

    assert type(found) is type(expected)
    assert found.status_code == expected.status_code == recording.status
    assert found.code == str(fault.get("code") or "upstream_rejected")
    assert found.param == fault.get("param")
    assert found.body["message"] == fault["message"]
    assert found.type == fault.get("type", "rate_limit_error")
