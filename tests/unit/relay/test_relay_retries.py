"""Further attempts: before the commit point only, counted where they arrive."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.exchange import Outcome
from gateway.simulator import Simulator
from tests.plugins.raw_provider import OK, RawProvider, answer_with, hang_up, read_request, reset

OpenGateway = Callable[..., Awaitable[Any]]
# No jitter in tests: the provider says how long.
NOW = "0"


def failing(status: int, times: int = 1, **error: Any) -> dict[str, Any]:
    """A provider that fails so often and then works."""
    error = {"status": status, "retry_after": NOW, **error}
    return {"error": error, "times": times, "then": [{"preset": "plain"}]}


@pytest.mark.parametrize("status", [408, 409, 429, 500, 501, 502, 503, 504, 529])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat/sim"])
async def test_what_may_pass_is_tried_again(
    gateway: Any, simulator: Simulator, status: int, path: str
) -> None:
    """The caller never hears of it."""
    simulator.script(failing(status))

    heard = await gateway.ask(None, path)
    exchange = await gateway.wait_settled()

    assert (heard.status, heard.is_whole) == (200, True)
    assert [served.status for served in simulator.journal] == [status, 200]
    assert (exchange.attempts, exchange.outcome) == (2, Outcome.FINISHED)


async def test_each_attempt_leaves_its_record(gateway: Any, simulator: Simulator) -> None:
    """I09: what failed is in the books beside what did not, and billed if it was counted."""
    simulator.script(failing(503))

    await gateway.ask(None)
    exchange = await gateway.wait_settled()

    first, second = exchange.attempt_records
    assert [record.number for record in (first, second)] == [1, 2]
    assert [record.status for record in (first, second)] == [503, 200]
    assert [record.error_code for record in (first, second)] == ["upstream_server_error", ""]
    assert first.is_providers_fault
    assert 0 < first.started_at <= first.ended_at <= second.started_at <= second.ended_at
    assert first.usage is None
    assert second.usage == exchange.usage is not None


async def test_an_attempt_without_a_connection_leaves_its_record(
    open_gateway: OpenGateway, closed_port: int
) -> None:
    """Nothing was sent, and somebody wants to know why."""
    gateway = await open_gateway(retries=1, base_url=f"http://127.0.0.1:{closed_port}/v1")

    await gateway.ask(None)
    exchange = await gateway.wait_settled()

    assert [record.error_code for record in exchange.attempt_records] == ["upstream_connect"] * 2
    assert all(record.ended_at and not record.status for record in exchange.attempt_records)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
async def test_what_will_not_pass_is_not_tried_again(
    gateway: Any, simulator: Simulator, status: int
) -> None:
    """The same request gets the same answer."""
    simulator.script(failing(status))

    heard = await gateway.ask(None)

    assert (heard.status, simulator.journal.count) == (status, 1)


@pytest.mark.parametrize("says", ["false", "true", "no"])
async def test_a_provider_that_asks_not_to_be_tried_again_is_not(
    open_gateway: OpenGateway, says: str
) -> None:
    """OpenAI's own clients go by this header, and whoever writes it knows them."""
    head = f"HTTP/1.1 503 No\r\nX-Should-Retry: {says}\r\nRetry-After: 0\r\n"
    answer = head.encode() + b"Content-Length: 0\r\n\r\n"
    async with RawProvider(answer_with(answer)) as provider:
        gateway = await open_gateway(retries=1, base_url=f"http://127.0.0.1:{provider.port}/v1")

        await gateway.ask(None)
        exchange = await gateway.wait_settled()

    assert exchange.attempts == (1 if says == "false" else 2)


@pytest.mark.parametrize("preset", ["openai-insufficient-quota", "groq-413"])
async def test_a_used_up_quota_is_never_tried_again(
    gateway: Any, simulator: Simulator, preset: str
) -> None:
    """Waiting does not refill it."""
    simulator.script({"preset": preset, "then": [{"preset": "plain"}]})

    heard = await gateway.ask(None)

    assert heard.status in {413, 429}
    assert simulator.journal.count == 1


@pytest.mark.parametrize("reason", ["error", None])
async def test_a_used_up_quota_that_a_choice_tells_of_is_never_tried_again(
    gateway: Any, simulator: Simulator, reason: str | None
) -> None:
    """OpenRouter's place for it, with the status that it says."""
    error = {"code": "insufficient_quota", "message": "Out of credit"}
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": reason, "error": error}
    simulator.script({"events": [{"choices": [choice]}], "then": [{"preset": "plain"}]})

    heard = await gateway.ask(None)

    assert (heard.status, simulator.journal.count) == (429, 1)
    assert b"Out of credit" in heard.body


@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_there_are_as_many_retries_as_the_registry_says(
    open_gateway: OpenGateway, simulator: Simulator, retries: int
) -> None:
    """And the last failure is what the caller gets."""
    gateway = await open_gateway(retries=retries)
    simulator.script(failing(503, times=9))

    heard = await gateway.ask(None)
    exchange = await gateway.wait_settled()

    assert heard.status == 503
    assert simulator.journal.count == exchange.attempts == retries + 1


@pytest.mark.parametrize(
    ("budget", "attempts"),
    [
        ({"share": 0, "spare": 3}, [3, 2, 1]),
        ({"share": 1, "spare": 0}, [2, 2, 2]),  # each request brings one
        ({"share": 0, "spare": 0}, [1, 1, 1]),
        ({"share": 0, "spare": 0, "enabled": False}, [3, 3, 3]),
    ],
)
async def test_all_requests_together_have_so_many_retries(
    open_gateway: OpenGateway, simulator: Simulator, budget: dict[str, Any], attempts: list[int]
) -> None:
    """A provider in trouble is not to get three times the load."""
    gateway = await open_gateway(retries=2, retry_budget=budget, breaker={"enabled": False})
    simulator.script(failing(503, times=99))

    for number, expected in enumerate(attempts, 1):
        assert (await gateway.ask(None)).status == 503
        assert (await gateway.wait_settled(number)).attempts == expected, number


async def test_a_long_wait_is_passed_on_and_not_slept(gateway: Any, simulator: Simulator) -> None:
    """The caller may have better things to do."""
    simulator.script(failing(429, retry_after="30"))
    began = time.monotonic()

    heard = await gateway.ask(None)

    assert time.monotonic() - began < 4
    assert (heard.status, simulator.journal.count) == (429, 1)
    assert "retry-after: 30" in heard.head


@pytest.mark.parametrize("cut", ["before_head", "in_head", "after_head"])
async def test_a_connection_that_fails_before_the_first_content_is_tried_again(
    gateway: Any, simulator: Simulator, cut: str
) -> None:
    """Nothing was sent downstream, so nothing can be doubled."""
    simulator.script({"cut": {"at": cut}, "then": [{"preset": "plain"}]})

    heard = await gateway.ask(None)

    assert (heard.status, heard.is_whole) == (200, True)
    assert simulator.journal.count == 2


async def test_nothing_is_tried_again_that_could_not_end_in_time(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """The whole exchange has a deadline, and what failed says more than that it has passed."""
    gateway = await open_gateway(retries=2, timeouts={"total_s": 2})
    simulator.script(failing(503, retry_after="3"))

    heard = await gateway.ask(None)

    assert (heard.status, simulator.journal.count) == (503, 1)


async def test_comments_of_a_failed_attempt_are_not_shown(
    gateway: Any, simulator: Simulator
) -> None:
    """What was held for the first attempt belongs to it."""
    first = {"comments": {"before": 5}, "cut": {"at": "after_tokens"}, "role": "own"}
    simulator.script({**first, "then": [{"preset": "plain", "usage": "none"}]})

    heard = await gateway.ask(None)

    assert heard.body == simulator.journal.last.body_sent
    assert b"OPENROUTER" not in heard.body


@pytest.mark.parametrize("preset", ["cut", "groq-error", "openrouter-error"])
async def test_after_the_first_content_nothing_is_tried_again(
    gateway: Any, simulator: Simulator, preset: str
) -> None:
    """The caller would read the beginning twice (fault G12)."""
    simulator.script({"preset": preset, "gap_s": 0.005, "then": [{"preset": "plain"}]})

    heard = await gateway.ask(None)

    assert not heard.is_whole
    assert simulator.journal.count == 1


async def test_an_error_event_before_any_content_is_tried_again(
    gateway: Any, simulator: Simulator
) -> None:
    """A 200 that turns out to be a failure before it said anything."""
    error = {"shape": "openai", "code": "server_error"}
    simulator.script({"stream_error": error, "then": [{"preset": "plain"}]})

    heard = await gateway.ask(None)

    assert (heard.status, heard.is_whole) == (200, True)
    assert simulator.journal.count == 2


async def test_a_provider_that_is_not_there_is_a_bad_gateway(
    open_gateway: OpenGateway,
) -> None:
    """502 in a moment, with the attempts counted."""
    async with RawProvider(hang_up_at_once) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
    gateway = await open_gateway(base_url=url, retries=0)

    heard = await gateway.ask(None)

    assert (heard.status, heard.json["code"]) == (502, "upstream_connect")


async def hang_up_at_once(_: object, writer: Any) -> None:
    """Close without a word."""
    await hang_up(writer)


@pytest.mark.parametrize("end", [hang_up, None])
async def test_a_reused_connection_that_was_dead_costs_no_attempt(
    open_gateway: OpenGateway, end: Any
) -> None:
    """A provider closes an idle connection just as we use it; that is nobody's failure (F09)."""
    answer = OK.replace(b"2\r\n\r\nok", b"2\r\n\r\n{}")
    requests: list[int] = []

    async def serve(reader: Any, writer: Any) -> None:
        number = provider.connections
        while True:
            await read_request(reader)
            requests.append(number)
            if requests == [1, 1]:  # the second request on the first connection
                return await end(writer) if end is not None else reset(writer)
            writer.write(answer)

    async with RawProvider(serve) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
        gateway = await open_gateway(base_url=url, retries=0)

        first = await gateway.ask(None, stream=False)
        second = await gateway.ask(None, stream=False)
        exchange = await gateway.wait_settled(2)

    assert (first.status, second.status) == (200, 200)
    assert requests == [1, 1, 2]
    assert exchange.attempts == 1
    (record,) = exchange.attempt_records
    assert (record.status, record.error_code, record.is_providers_fault) == (200, "", False)
    assert 0 < exchange.waited_s < exchange.upstream_started_at - exchange.started_at


async def test_a_provider_that_reads_and_hangs_up_gets_one_request_more(
    open_gateway: OpenGateway,
) -> None:
    """Each attempt on a connection of its own would send it twice."""
    requests: list[int] = []
    have_asked = asyncio.Event()

    async def serve(reader: Any, writer: Any) -> None:
        number = provider.connections
        await read_request(reader)
        requests.append(number)
        if number > 3:
            return await hang_up(writer)
        if number == 3:
            have_asked.set()
        await have_asked.wait()  # or one connection would do for all
        writer.write(OK.replace(b"2\r\n\r\nok", b"2\r\n\r\n{}"))
        await read_request(reader)
        requests.append(number)
        return await hang_up(writer)

    async with RawProvider(serve) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
        gateway = await open_gateway(base_url=url, retries=2)
        await asyncio.gather(*(gateway.ask(None, stream=False) for _ in range(3)))

        heard = await gateway.ask(None, stream=False)

    assert heard.status == 502
    assert len(requests) == 3 + 1 + 3


async def test_a_reused_connection_that_had_begun_to_answer_is_a_failure(
    open_gateway: OpenGateway,
) -> None:
    """One byte of an answer, and the request was served."""
    requests: list[int] = []

    async def serve(reader: Any, writer: Any) -> None:
        while True:
            await read_request(reader)
            requests.append(provider.connections)
            if len(requests) == 2:
                writer.write(b"HTTP/1.1 200")
                return await hang_up(writer)
            writer.write(OK.replace(b"2\r\n\r\nok", b"2\r\n\r\n{}"))

    async with RawProvider(serve) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
        gateway = await open_gateway(base_url=url, retries=0)

        first = await gateway.ask(None, stream=False)
        second = await gateway.ask(None, stream=False)

    assert (first.status, second.status, len(requests)) == (200, 502, 2)


async def test_a_fresh_connection_that_dies_is_no_silent_retry(open_gateway: OpenGateway) -> None:
    """It is a failure, and counts as one."""
    async with RawProvider(hang_up_at_once) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
        gateway = await open_gateway(base_url=url, retries=0)

        heard = await gateway.ask(None)
        exchange = await gateway.wait_settled()

        assert (heard.status, exchange.attempts, provider.connections) == (502, 1, 1)


EASY = {"min_attempts": 1, "failure_share": 1.0}


async def test_a_retry_that_the_provider_s_gate_refuses_leaves_the_first_failure(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """M03: what the caller hears is what went wrong, not that nobody asks any more."""
    gateway = await open_gateway(retries=2, breaker=EASY)
    simulator.script(failing(503, times=9))

    heard = await gateway.ask(None)
    exchange = await gateway.wait_settled()

    assert (heard.status, heard.json["code"]) == (503, "upstream_server_error")
    assert simulator.journal.count == exchange.attempts == 1
    again = await gateway.ask(None)
    assert (again.status, again.json["code"]) == (503, "provider_unavailable")
    assert simulator.journal.count == 1


async def test_a_connection_that_is_refused_is_held_against_the_host(
    open_gateway: OpenGateway, closed_port: int
) -> None:
    """Whichever model is asked for next."""
    gateway = await open_gateway(
        retries=0, breaker=EASY, base_url=f"http://127.0.0.1:{closed_port}/v1"
    )
    assert (await gateway.ask("plain")).json["code"] == "upstream_connect"

    heard = await gateway.ask("plain", model="sim/another")

    assert heard.json["code"] == "provider_unavailable"


@pytest.mark.parametrize("by", ["fin", "rst"])
async def test_an_answer_that_breaks_off_is_held_against_its_model(
    open_gateway: OpenGateway, by: str
) -> None:
    """It had begun as a success; a caller who leaves is none of it."""
    gateway = await open_gateway(retries=0, breaker=EASY)
    await gateway.ask({"count": 5, "cut": {"after_tokens": 3, "by": by}})
    await gateway.wait_settled()

    heard = await gateway.ask("plain")

    assert heard.json["code"] == "provider_unavailable"


async def test_one_that_was_begun_before_its_content_counts_when_it_has_ended(
    open_gateway: OpenGateway, simulator: Simulator
) -> None:
    """A slow provider would have failures alone, because no success was ever seen."""
    gateway = await open_gateway(
        retries=0,
        settings={"commit": {"v1_max_wait_s": 0.01}},
        breaker={"min_attempts": 2, "failure_share": 0.7},
    )
    await gateway.ask({"count": 2, "head_delay_s": 0.05})
    await gateway.wait_settled()
    for _ in range(2):  # of three, and not of two
        await gateway.ask({"error": {"status": 503}})

    heard = await gateway.ask("plain")

    assert heard.status == 200
    assert simulator.journal.count == 4


async def test_a_stale_connection_is_nobody_s_failure(open_gateway: OpenGateway) -> None:
    """It is sent once more, and answered: a provider may close what is idle."""
    served = 0

    async def serve(reader: Any, writer: Any) -> None:
        nonlocal served
        await read_request(reader)
        served += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + b'{"choices":[]}')
        await writer.drain()
        await reader.read(1)  # the next request on this connection is not answered
        await hang_up(writer)

    async with RawProvider(serve) as provider:
        url = f"http://127.0.0.1:{provider.port}/v1"
        gateway = await open_gateway(base_url=url, retries=0, breaker=EASY)
        answers = [await gateway.ask("plain", stream=False) for _ in range(4)]

    assert [one.status for one in answers] == [200] * 4
    assert served == 4
