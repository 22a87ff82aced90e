"""Callers who leave, stall or hurry, and what it does to the provider and to the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.core.exchange import Outcome
from gateway.core.usage import Usage
from gateway.simulator import Simulator
from tests.plugins.own_time import Stopwatch
from tests.plugins.raw_caller import LAST_CHUNK, Caller, Heard, request_bytes

OpenGateway = Callable[..., Awaitable[Any]]
V1 = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]
STALL = {"stall": {"after_tokens": 2}}


def v1_request(directive: object, **fields: object) -> bytes:
    """A request for a stream in the OpenAI dialect."""
    usual = {"model": "sim/m", "messages": MESSAGES, "stream": True, "simulate": directive}
    return request_bytes(V1, {**usual, **fields})


@contextlib.asynccontextmanager
async def asking(gateway: Any, request: bytes, *, until: bytes = b"") -> AsyncIterator[Caller]:
    """A caller who has sent a request and read so far."""
    async with Caller(gateway.port) as caller:
        await caller.send(request)
        if until:
            await caller.read_until(until)
        yield caller


async def leaves(served: Any) -> None:
    """Wait until the provider's side of an answer is closed; the promise is 100 ms."""
    watch = Stopwatch()
    async with asyncio.timeout(10):
        await served.peer_left.wait()
    assert watch.seconds < 0.1


@pytest.mark.parametrize(
    ("directive", "until"),
    [
        ({"stall": {"at": "before_head"}}, b""),
        ({"stall": {"at": "after_head"}}, b""),
        ({"stall": {"at": "after_tokens"}, "comments": {"before": 3}}, b""),
        (STALL, b"\r\n\r\n"),
        ({"count": 10_000, "gap_s": 0.01}, b"\r\n\r\n"),
    ],
    ids=["before head", "after head", "comments", "mid-stream", "flowing"],
)
async def test_a_caller_who_leaves_closes_the_provider_also_while_it_is_silent(
    gateway: Any, simulator: Simulator, directive: Any, until: bytes
) -> None:
    """Tokens nobody reads cost money with most providers."""
    async with asking(gateway, v1_request(directive), until=until) as caller:
        await simulator.journal.wait_for_count(1)
        caller.hang_up()
        await leaves(simulator.journal.last)
        exchange = await gateway.wait_settled()

    assert exchange.outcome is Outcome.CLIENT_GONE
    assert gateway.relay.attempts_in_flight == 0
    assert simulator.journal.count == 1


@pytest.mark.parametrize("at", ["before_head", "after_head", "in_event"])
async def test_a_caller_who_leaves_before_a_whole_reply_closes_the_provider(
    gateway: Any, simulator: Simulator, at: str
) -> None:
    """The same, where the answer is not streamed."""
    request = v1_request({"stall": {"at": at}}, stream=False)
    async with asking(gateway, request) as caller:
        await simulator.journal.wait_for_count(1)
        caller.hang_up()
        await leaves(simulator.journal.last)
        exchange = await gateway.wait_settled()

    assert exchange.outcome is Outcome.CLIENT_GONE
    assert gateway.relay.attempts_in_flight == 0


async def test_a_caller_of_the_chat_who_leaves_closes_the_provider(
    gateway: Any, simulator: Simulator
) -> None:
    """The stop button of the front end."""
    chat = {"chatSettings": {"model": "stall"}, "messages": MESSAGES}
    async with asking(gateway, request_bytes("/api/chat/sim", chat), until=b"\r\n\r\n") as caller:
        caller.hang_up()
        await leaves(simulator.journal.last)
        exchange = await gateway.wait_settled()

    assert exchange.outcome is Outcome.CLIENT_GONE


async def test_a_caller_who_leaves_between_two_attempts_ends_the_retries(
    gateway: Any, simulator: Simulator
) -> None:
    """Nobody is there to read the second answer."""
    error = {"error": {"status": 503, "retry_after": "4"}, "then": [{"preset": "plain"}]}
    async with asking(gateway, v1_request(error)) as caller:
        await simulator.journal.wait_for(lambda served: served.done.is_set())
        caller.hang_up()
        exchange = await gateway.wait_settled()

    assert (exchange.outcome, exchange.attempts) == (Outcome.CLIENT_GONE, 1)
    assert simulator.journal.count == 1


@pytest.mark.parametrize("until", [b"", b"\r\n\r\n"], ids=["before", "after"])
async def test_an_answer_is_drained_where_the_registry_says_so(
    open_gateway: OpenGateway, simulator: Simulator, until: bytes
) -> None:
    """Where leaving stops no billing, the usage at the end is worth reading."""
    gateway = await open_gateway(on_client_gone="drain")
    first = {"at": "after_tokens", "after_tokens": 2 if until else 0, "for_s": 0.1}
    request = v1_request({"count": 20, "stall": first, "usage_values": {"completion_tokens": 20}})
    async with asking(gateway, request, until=until) as caller:
        await simulator.journal.wait_for(lambda served: served.writes_sent > 0)
        caller.hang_up()
        exchange = await gateway.wait_settled()

    assert exchange.outcome is Outcome.CLIENT_GONE
    assert simulator.journal.last.finished
    assert exchange.usage is not None
    assert (exchange.usage.tokens_out, exchange.usage.source) == (20, "provider")
    assert gateway.relay.attempts_in_flight == 0


async def test_a_drained_answer_is_not_kept_for_the_caller_who_left(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """They left before the head: what comes now must not pile up behind it."""
    gateway = await open_gateway(on_client_gone="drain")
    request = v1_request({"count": 50, "stall": {"at": "after_head", "for_s": 0.1}})
    async with asking(gateway, request) as caller:
        await simulator.journal.wait_for(lambda served: served.writes_sent > 0)
        (attempt,) = gateway.relay._attempts  # noqa: SLF001 - what it holds is the point
        caller.hang_up()
        await gateway.wait_settled()

    assert simulator.journal.last.finished
    assert attempt.downstream.held_bytes == 0


async def test_a_caller_who_stopped_reading_before_they_left_is_drained_as_well(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """The provider was held back for them; now it may go on."""
    gateway = await open_gateway(on_client_gone="drain")
    async with Caller(gateway.port, small_buffer=True) as caller:
        await caller.send(v1_request({"count": 5_000, "template": "x" * 500}))
        await caller.read_until(b"\r\n\r\n")
        await wait_until_held_back(gateway)
        caller.hang_up()
        exchange = await gateway.wait_settled()

    assert simulator.journal.last.finished
    assert exchange.outcome is Outcome.CLIENT_GONE
    assert exchange.usage is not None
    assert exchange.usage.source == "provider"


async def wait_until_held_back(gateway: Any) -> None:
    """Wait until the provider of some exchange is held back."""
    async with asyncio.timeout(5):
        await gateway.tasks.has_spawned.wait()  # the task that waits for the caller


async def test_a_drained_answer_that_fails_is_settled_as_well(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """Once, as what it was: the caller left."""
    gateway = await open_gateway(on_client_gone="drain", timeouts={"idle_s": 0.05})
    settings = {"stall": {"after_tokens": 2}}
    async with asking(gateway, v1_request(settings), until=b"\r\n\r\n") as caller:
        caller.hang_up()
        exchange = await gateway.wait_settled()

    assert exchange.outcome is Outcome.CLIENT_GONE
    assert exchange.usage == Usage(exchange.prompt_tokens, 2, "estimate")
    assert len(gateway.settled) == simulator.journal.count == 1


async def test_a_caller_who_stops_reading_holds_the_provider_back(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """A slow reader of a fast stream costs a bounded amount of memory (fault G16)."""
    gateway = await open_gateway(timeouts={"write_stall_s": 30})
    flood = {"count": 20_000, "template": "x" * 500}
    async with Caller(gateway.port, small_buffer=True) as caller:
        await caller.send(v1_request(flood))
        await caller.read_until(b"\r\n\r\n")
        await wait_until_held_back(gateway)
        sent_bytes = simulator.journal.last.body_bytes_sent
        (attempt,) = gateway.relay._attempts  # noqa: SLF001 - what it holds is the point
        buffered_bytes = attempt.downstream._transport.get_write_buffer_size()  # noqa: SLF001 - as above
        caller.hang_up()
        exchange = await gateway.wait_settled()

    assert buffered_bytes < 64 * 1024 + 2 * 256 * 1024
    assert sent_bytes < 20_000 * 500 / 2
    assert exchange.outcome is Outcome.CLIENT_GONE


async def test_a_caller_who_stops_reading_for_good_is_cut_off(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """Otherwise a few hundred of them are all our memory."""
    gateway = await open_gateway(timeouts={"write_stall_s": 0.1})
    async with Caller(gateway.port, small_buffer=True) as caller:
        await caller.send(v1_request({"count": 20_000, "template": "x" * 500}))
        exchange = await gateway.wait_settled()
        await simulator.journal.last.peer_left.wait()
        heard = await caller.read_to_end()

    assert (exchange.outcome, exchange.error_code) == (Outcome.CLIENT_GONE, "client_stalled")
    assert not heard.is_whole
    assert gateway.relay.attempts_in_flight == 0


@pytest.mark.parametrize("on_client_gone", ["cancel", "drain"])
@pytest.mark.parametrize("count", [500, 1_000])
async def test_a_caller_who_reads_nothing_of_an_answer_that_is_there_is_no_success(
    open_gateway: OpenGateway, count: int, on_client_gone: str
) -> None:
    """The provider has said all; whether the caller heard it is another question."""
    timeouts = {"write_stall_s": 0.1}
    gateway = await open_gateway(timeouts=timeouts, on_client_gone=on_client_gone)
    at_once = {"count": count, "template": "x" * 500, "writes": {"events_per_write": 9999}}
    async with Caller(gateway.port, small_buffer=True) as caller:
        await caller.send(v1_request(at_once))
        exchange = await gateway.wait_settled()
        heard = await caller.read_to_end()

    assert (exchange.outcome, exchange.error_code) == (Outcome.CLIENT_GONE, "client_stalled")
    assert exchange.bytes_out > 0
    assert not heard.is_whole


async def test_a_slow_caller_gets_everything_in_the_end(gateway: Any, simulator: Simulator) -> None:
    """Held back and let go many times, nothing is lost."""
    async with Caller(gateway.port, small_buffer=True) as caller:
        await caller.send(v1_request({"count": 1_000, "template": "x" * 500, "usage": "none"}))
        heard = Heard(await caller.read_until(b"\r\n" + LAST_CHUNK))

    assert heard.body == simulator.journal.last.body_sent


async def test_after_a_slow_caller_the_connection_to_the_provider_still_works(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """It may have been held back by the very last bytes."""
    gateway = await open_gateway(timeouts={"first_content_s": 2})
    for _ in range(3):
        async with Caller(gateway.port, small_buffer=True) as caller:
            one_write = {
                "count": 1_500,
                "template": "x" * 500,
                "writes": {"events_per_write": 9999},
            }
            await caller.send(v1_request({**one_write, "usage": "none"}))
            await caller.read_until(b"\r\n" + LAST_CHUNK)

        assert (await gateway.ask("plain")).is_whole
    assert simulator.connections_opened == 1


async def test_a_caller_who_never_reads_the_second_of_two_pipelined_answers_is_cut_off(
    open_gateway: OpenGateway,
) -> None:
    """The first answer may have filled every buffer before the second one's head."""
    gateway = await open_gateway(timeouts={"write_stall_s": 0.1})
    fits = v1_request({"count": 100, "template": "x" * 500, "usage": "none"})
    flood = v1_request({"count": 20_000, "template": "x" * 500})
    async with Caller(gateway.port, small_buffer=True) as caller:
        await caller.send(fits + flood)
        exchange = await gateway.wait_settled(2)

    assert exchange.outcome is Outcome.CLIENT_GONE
    assert gateway.relay.attempts_in_flight == 0


async def test_late_bytes_of_a_provider_do_not_reach_the_next_answer(
    gateway: Any, simulator: Simulator
) -> None:
    """The keep-alive connection carries somebody's next answer (measured once)."""
    late = {"text": "first", "usage": "none", "http": {"after_end": "data: late\n\n"}}
    async with Caller(gateway.port) as caller:
        await caller.send(v1_request(late))
        first = Heard(await caller.read_until(LAST_CHUNK))
        await caller.send(v1_request({"text": "second", "usage": "none"}))
        second = Heard(await caller.read_until(LAST_CHUNK))

    assert b"late" not in first.body + second.body
    assert second.body == simulator.journal.last.body_sent


async def test_a_whole_reply_that_nobody_reads_is_cut_off(open_gateway: OpenGateway) -> None:
    """It is held whole: 32 MiB a caller."""
    gateway = await open_gateway(timeouts={"write_stall_s": 0.1})
    async with Caller(gateway.port, small_buffer=True) as caller:
        await caller.send(v1_request({"json_bytes": 8_000_000, "answer": "json"}, stream=False))
        exchange = await gateway.wait_settled()

    assert (exchange.outcome, exchange.error_code) == (Outcome.CLIENT_GONE, "client_stalled")


async def test_callers_who_leave_leave_nothing_behind(gateway: Any, simulator: Simulator) -> None:
    """Thirty of them, at every stage, and then one who stays."""
    stages = [{"stall": {"at": "before_head"}}, {"stall": {"at": "after_head"}}, STALL]

    async def come_and_go(number: int) -> None:
        until = b"\r\n\r\n" if number % 3 == 2 else b""
        async with asking(gateway, v1_request(stages[number % 3]), until=until) as caller:
            caller.hang_up()

    await asyncio.gather(*(come_and_go(number) for number in range(30)))
    await gateway.wait_settled(30)
    heard = await gateway.ask("plain")

    assert heard.is_whole
    assert gateway.relay.attempts_in_flight == 0
    assert len(gateway.tasks) == 0
    async with asyncio.timeout(5):
        await asyncio.gather(*(served.done.wait() for served in simulator.journal))
    assert simulator.open_connections == 1
    assert gateway.pool.open_connections == 1
