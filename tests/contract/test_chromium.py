"""A front end in a real browser, on another origin than the gateway.

What Node cannot show: the browser's own rules of what a page may send and read, and its own idea
of an answer that was cut.
"""

import asyncio
import json

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import HELLO, chat_body, simulated
from tests.contract.entries import entry
from tests.plugins.anybody import ENTRY
from tests.plugins.browser import FrontEnd
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.stepped_provider import DONE, END, FINISH, SteppedProvider, chunk_of

pytestmark = pytest.mark.timeout(90)  # a browser's first start reads its files from the disk


async def open_listed(
    start_gateway: StartGateway, base_url: str, front_end_site: FrontEnd
) -> Gateway:
    """Start a gateway that the front end's pages may call."""
    return await start_gateway(
        providers={"sim": entry(base_url)},
        settings={
            "server": {"cors_origins": [front_end_site.origin]},
            "auth": [ENTRY],
        },
        environ={"SIM_API_KEY": CREDENTIAL},
    )


@pytest.fixture
async def listed(
    start_gateway: StartGateway, simulator: Simulator, front_end_site: FrontEnd
) -> Gateway:
    """Such a gateway, in front of the simulator."""
    return await open_listed(start_gateway, simulator.base_url, front_end_site)


async def ask(
    front_end_site: FrontEnd, gateway: Gateway, model: str, *, stop: bool = False
) -> object:
    """What the page shows of an answer on `/api/chat`."""
    url = f"{gateway.url}/api/chat/sim"
    return await front_end_site.show(url, json.dumps(chat_body(model)), stop=stop)


async def test_a_page_shows_the_text_as_it_is(
    front_end_site: FrontEnd, start_gateway: StartGateway
) -> None:
    """Characters that were cut on the wire are whole on the screen, each delta before the next."""
    deltas = ["\n\n", "Grüße", ", ", "世界", " 👩‍🚀"]
    async with SteppedProvider() as provider:
        listed = await open_listed(start_gateway, provider.base_url, front_end_site)
        asking = asyncio.ensure_future(ask(front_end_site, listed, "m"))
        await provider.open_stream()
        for count, delta in enumerate(deltas, 1):
            await send_in_halves(provider, delta)
            await front_end_site.wait_until_shown("".join(deltas[:count]).lstrip())
        await provider.send_raw(chunk_of(FINISH) + chunk_of(DONE) + END)
        seen = await asking

    settled = (await listed.log.wait_for_settled())[0]
    assert seen == {
        "status": 200,
        "text": "Grüße, 世界 👩‍🚀",
        "reads": 4,
        "failed": None,
        "requestId": settled["request_id"],
    }


async def send_in_halves(provider: SteppedProvider, text: str) -> None:
    """Send one delta, cut in the middle of a character if it has one of several bytes."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    event = json.dumps({"choices": [choice]}, ensure_ascii=False).encode()
    chunk = chunk_of(b"data: %b\n\n" % event)
    cut = next((at for at, byte in enumerate(chunk) if byte >= 0x80), 0) + 1
    await provider.send_raw(chunk[:cut])
    await asyncio.sleep(0)  # the gateway reads it
    await provider.send_raw(chunk[cut:])


async def test_a_page_can_say_why_there_is_no_answer(
    front_end_site: FrontEnd, listed: Gateway
) -> None:
    """The browser lets it read the status, the sentence and the request id."""
    seen = await ask(front_end_site, listed, "unauthorized")

    assert isinstance(seen, dict)
    assert (seen["status"], seen["failed"]) == (401, None)
    assert seen["toast"] == "Sim API Key is incorrect. Please fix it in your profile settings."
    assert seen["requestId"] == (await listed.log.wait_for_settled())[0]["request_id"]


async def test_a_page_can_tell_that_an_answer_was_cut(
    front_end_site: FrontEnd, listed: Gateway
) -> None:
    """A clean end would pass for the whole answer; to the browser this is a network error.

    It may take what it has not handed on with it: how much of the text is seen is its own affair.
    """
    seen = await ask(
        front_end_site, listed, simulated(tokens=["one", "two"], cut={"after_tokens": 2})
    )

    assert isinstance(seen, dict)
    assert (seen["status"], seen["failed"]) == (200, "TypeError")
    assert "onetwo".startswith(seen["text"])


async def test_the_stop_button_of_a_page_ends_the_answer_at_the_provider(
    front_end_site: FrontEnd, listed: Gateway, simulator: Simulator
) -> None:
    """The first text is on the screen while the provider is silent, and stopping reaches it."""
    model = simulated(tokens=["one", "two"], stall={"after_tokens": 1})

    seen = await ask(front_end_site, listed, model, stop=True)

    assert isinstance(seen, dict)
    assert (seen["text"], seen["failed"]) == ("one", "AbortError")
    await simulator.journal.wait_for(lambda served: served.peer_left.is_set())
    assert (await listed.log.wait_for_settled())[0]["outcome"] == "client_gone"


async def test_a_page_may_send_a_key_and_json(front_end_site: FrontEnd, listed: Gateway) -> None:
    """The browser asks before it sends those; the preflight answers for it."""
    body = {"model": "sim/plain", "stream": True, "messages": HELLO}
    headers = {"Authorization": "Bearer anything", "Content-Type": "application/json"}

    seen = await front_end_site.show(
        f"{listed.url}/v1/chat/completions", json.dumps(body), headers=headers
    )

    assert (seen["status"], seen["failed"]) == (200, None)
    assert seen["text"].endswith("data: [DONE]\n\n")


async def test_a_page_of_an_origin_that_is_not_listed_reads_nothing(
    front_end_site: FrontEnd, start_gateway: StartGateway, simulator: Simulator
) -> None:
    """Off by default: the browser keeps status and text from it."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url)},
        settings={"auth": [ENTRY]},
        environ={"SIM_API_KEY": CREDENTIAL},
    )

    seen = await ask(front_end_site, gateway, "plain")

    assert isinstance(seen, dict)
    assert (seen["status"], seen["text"], seen["failed"]) == (0, "", "TypeError")
