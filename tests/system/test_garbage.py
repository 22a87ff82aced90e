"""An exchange that is over leaves nothing for the garbage collector.

Its memory is taken for the next one while it is still in the processor's cache, and no collection
stops the loop. One reference cycle would keep a whole request, its body and its answer.
"""

import gc
from collections.abc import Iterator

import pytest

from gateway.simulator import Simulator
from gateway.upstream.answer_parser import AnswerParser
from tests.plugins.anybody import ENTRY
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.raw_caller import LAST_CHUNK, Caller, request_bytes

EXCHANGES = 10
FAILURES = 3  # some are tried again, after a wait
STOPPED = [f"stopped{number}" for number in range(FAILURES)]  # models that a rule ends
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture
async def gateway(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """One that anybody may call."""
    sim = {"base_url": simulator.base_url, "allow_private": True, "auth": {"required": False}}
    sim |= {"retries": 1}
    stop = {"name": "stop", "on": "model", "match": {"model": STOPPED}, "tokens_per_day": 200}
    return await start_gateway(
        providers={"sim": sim},
        settings={"auth": [ENTRY], "limits": [{**stop, "stop_streams": True}]},
    )


@pytest.fixture
def saved_garbage() -> Iterator[list[object]]:
    """What a collection finds is kept to be looked at."""
    gc.collect()
    gc.freeze()  # what other tests left may become garbage while this one runs
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_exchange_makes_no_reference_cycle(
    gateway: Gateway, saved_garbage: list[object], *, stream: bool
) -> None:
    """On `/v1`, streamed or whole, over one connection."""
    body = {"model": "sim/plain", "stream": stream, "messages": MESSAGES}

    async with Caller(gateway.port) as caller:
        for _ in range(EXCHANGES):
            await caller.send(request_bytes("/v1/chat/completions", body))
            await (caller.read_until(LAST_CHUNK) if stream else caller.read_answer())
        await gateway.log.wait_for_settled(EXCHANGES)
        gc.collect()

    ours = [type(found).__qualname__ for found in saved_garbage if _is_of_an_exchange(found)]
    assert ours == []


async def test_a_text_stream_makes_no_reference_cycle(
    gateway: Gateway, saved_garbage: list[object]
) -> None:
    """On `/api/chat`."""
    body = {"chatSettings": {"model": "plain"}, "messages": MESSAGES}

    async with Caller(gateway.port) as caller:
        for _ in range(EXCHANGES):
            await caller.send(request_bytes("/api/chat/sim", body))
            await caller.read_until(LAST_CHUNK)
        await gateway.log.wait_for_settled(EXCHANGES)
        gc.collect()

    assert [found for found in saved_garbage if _is_of_an_exchange(found)] == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"messages": []}, 400),
        ({"model": "nobody/m"}, 404),
        ({"simulate": {"error": {"status": 429}}}, 429),
        ({"simulate": "cut-before-head"}, 502),
        ({"simulate": "cut-in-event"}, 200),
        # Of this size a body is parsed in a thread.
        ({"messages": [{"role": "user", "content": "x" * 10**6}], "simulate": "plain"}, 200),
        ({"messages": [{"role": "user", "content": "x" * 10**6}], "stream": "no"}, 400),
    ],
)
async def test_a_failure_makes_no_reference_cycle(
    gateway: Gateway, saved_garbage: list[object], fields: dict[str, object], status: int
) -> None:
    """An error holds its traceback, a traceback its frames, and a frame whatever it dealt with."""
    body = {"model": "sim/m", "stream": True, "messages": MESSAGES, **fields}

    for _ in range(FAILURES):
        async with Caller(gateway.port) as caller:
            request = request_bytes("/v1/chat/completions", body, headers=("Connection: close",))
            await caller.send(request)
            assert (await caller.read_to_end()).status == status
    await gateway.log.wait_for_settled(FAILURES)
    gc.collect()

    assert [found for found in saved_garbage if _is_of_an_exchange(found)] == []


async def test_a_stream_that_a_rule_ends_makes_no_reference_cycle(
    gateway: Gateway, saved_garbage: list[object]
) -> None:
    """Whoever looks at the answer is known to it, and the other way round."""
    for model in STOPPED:
        simulate = {"count": 2_000, "gap_s": 0.0005}
        body = {"model": f"sim/{model}", "stream": True, "messages": MESSAGES, "simulate": simulate}
        async with Caller(gateway.port) as caller:
            await caller.send(request_bytes("/v1/chat/completions", body))
            assert not (await caller.read_to_end()).is_whole
    await gateway.log.wait_for_settled(FAILURES)
    gc.collect()

    assert [found for found in saved_garbage if _is_of_an_exchange(found)] == []


async def test_a_caller_who_leaves_makes_no_reference_cycle(
    gateway: Gateway, saved_garbage: list[object]
) -> None:
    """The stop button is pressed often."""
    body = {"model": "sim/m", "stream": True, "messages": MESSAGES, "simulate": "stall"}

    for _ in range(EXCHANGES):
        async with Caller(gateway.port) as caller:
            await caller.send(request_bytes("/v1/chat/completions", body))
            await caller.read_until(b"data:")
    await gateway.log.wait_for_settled(EXCHANGES)
    gc.collect()

    assert [found for found in saved_garbage if _is_of_an_exchange(found)] == []


def _is_of_an_exchange(found: object) -> bool:
    module = type(found).__module__
    is_ours = module.startswith(("gateway.", "aiohttp.")) and "simulator" not in module
    return is_ours and not isinstance(found, AnswerParser)  # of a connection; holds no request
