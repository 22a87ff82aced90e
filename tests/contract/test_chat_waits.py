"""How long a chat front end waits at most, and what it is told then.

The rule here: deadlines are the registry's and the settings' own, only shorter.
"""

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import ask, chat, chat_body, header_of, http_request, simulated
from tests.contract.entries import entry
from tests.contract.stepwise import DONE, StepwiseProvider, chunk_event, text_event
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.raw_caller import Caller

CHAT = "/api/chat/sim"
ROLE = chunk_event({"role": "assistant", "content": ""})
FINISH = chunk_event({}, "stop")


async def test_the_head_leaves_without_text_when_the_longest_wait_is_over(
    provider: StepwiseProvider, start_gateway: StartGateway
) -> None:
    """A proxy in front gives up on a head that never comes; a model may think longer than that."""
    gateway = await start_gateway(
        providers={"sim": entry(provider.base_url)},
        settings={"commit": {"chat_max_wait_s": 0.05}},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    provider.send(ROLE)
    async with Caller(gateway.port) as caller:
        await caller.send(http_request("POST", CHAT, chat_body()))
        head = await caller.read_until(b"\r\n\r\n")
        provider.send(text_event("late"), FINISH, DONE)
        provider.end()
        heard = await caller.read_to_end()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert heard.raw == b"4\r\nlate\r\n0\r\n\r\n"


@pytest.mark.parametrize("model", ["stall-before-head", "stall-after-head"])
async def test_a_provider_that_never_begins_is_504(
    start_gateway: StartGateway, simulator: Simulator, model: str
) -> None:
    """The front end has no deadline of its own: its user would wait for ever."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url, timeouts={"first_content_s": 0.05})},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    heard = await chat(gateway, model)

    assert heard.status == 504
    assert "Sim" in heard.json["message"]
    assert heard.json["error"]["code"] == "upstream_first_content_timeout"
    await simulator.journal.wait_for(lambda served: served.peer_left.is_set())


async def test_a_provider_that_falls_silent_is_cut(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """Comments keep a connection alive, not an answer."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url, timeouts={"idle_s": 0.05})},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    stall = {"after_tokens": 1, "comment": " ping", "every_s": 0.01}

    heard = await chat(gateway, simulated(tokens=["one", "two"], stall=stall))

    assert heard.chunks == [b"one"]
    assert not heard.is_whole
    settled = await gateway.log.wait_for_settled()
    assert settled[0]["error_code"] == "upstream_idle_timeout"


async def test_a_provider_that_cannot_be_reached_is_502(
    start_gateway: StartGateway, closed_port: int
) -> None:
    """With its name: whoever reads it knows that the gateway itself is well."""
    gateway = await start_gateway(
        providers={"sim": entry(f"http://127.0.0.1:{closed_port}/v1")},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    heard = await chat(gateway)

    assert heard.status == 502
    assert "Sim" in heard.json["message"]
    assert heard.json["error"]["code"] == "upstream_connect"


async def test_a_long_retry_after_is_passed_on_and_not_slept(
    gateway: Gateway, simulator: Simulator
) -> None:
    """Nobody watches an empty answer for a minute."""
    error = {"status": 429, "retry_after": "60", "message": "Slow down."}

    heard = await chat(gateway, simulated(error=error))

    assert (heard.status, heard.json["message"]) == (429, "429 Slow down.")
    assert header_of(heard, "retry-after") == "60"
    assert simulator.journal.count == 1


async def test_an_answer_is_read_to_its_end_where_the_registry_says_drain(
    provider: StepwiseProvider, start_gateway: StartGateway
) -> None:
    """Where the count comes last, it is the only way to learn it."""
    gateway = await start_gateway(
        providers={"sim": entry(provider.base_url, on_client_gone="drain")},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    async with Caller(gateway.port) as caller:
        await caller.send(http_request("POST", CHAT, chat_body()))
        provider.send(text_event("one"))
        await caller.read_until(b"3\r\none\r\n")
        caller.hang_up()
        provider.send(text_event("two"), text_event("three"), FINISH, DONE)
        provider.end()

    settled = (await gateway.log.wait_for_settled())[0]
    assert (settled["outcome"], settled["chunks"]) == ("client_gone", 3)


async def test_a_caller_of_http_1_0_gets_the_text_without_frames(single: Gateway) -> None:
    """It is what nginx speaks unless told otherwise; it knows no chunks."""
    request = http_request("POST", CHAT, chat_body(simulated(tokens=["Hel", "lo"])), ())
    async with Caller(single.port) as caller:
        await caller.send(request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
        heard = await caller.read_to_end()

    assert heard.status == 200
    assert header_of(heard, "transfer-encoding") is None
    assert heard.framed == b"Hello"
    assert not heard.was_reset


async def test_a_caller_from_elsewhere_is_401_as_json(single: Gateway) -> None:
    """A proxy in front of an open gateway is the internet; its users get a sentence."""
    heard = await ask(single, CHAT, chat_body(), "X-Forwarded-For: 192.0.2.1")

    assert heard.status == 401
    assert heard.json["message"].startswith("Only direct calls from the gateway's own machine")
    assert heard.json["error"]["code"] == "unauthenticated"
