"""A front end in a real browser, on another origin than the gateway.

What Node cannot show: the browser's own rules of what a page may send and read, and its own idea
of an answer that was cut.
"""

import json

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import HELLO, chat_body, simulated
from tests.contract.entries import entry
from tests.plugins.anybody import ENTRY
from tests.plugins.browser import FrontEnd
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway

pytestmark = pytest.mark.timeout(90)  # a browser's first start reads its files from the disk


@pytest.fixture
async def listed(
    start_gateway: StartGateway, simulator: Simulator, front_end_site: FrontEnd
) -> Gateway:
    """A gateway that the front end's pages may call."""
    return await start_gateway(
        providers={"sim": entry(simulator.base_url)},
        settings={
            "server": {"cors_origins": [front_end_site.origin]},
            "auth": [ENTRY],
        },
        environ={"SIM_API_KEY": CREDENTIAL},
    )


async def ask(
    front_end_site: FrontEnd, gateway: Gateway, model: str, *, stop: bool = False
) -> object:
    """What the page shows of an answer on `/api/chat`."""
    url = f"{gateway.url}/api/chat/sim"
    return await front_end_site.show(url, json.dumps(chat_body(model)), stop=stop)


async def test_a_page_shows_the_text_as_it_is(front_end_site: FrontEnd, listed: Gateway) -> None:
    """Characters that were cut on the wire are whole on the screen, a delta at a time."""
    tokens = ["\n\n", "Grüße", ", ", "世界", " 👩‍🚀"]
    model = simulated(tokens=tokens, gap_s=0.05, writes={"in_utf8": True})

    seen = await ask(front_end_site, listed, model)

    settled = (await listed.log.wait_for_settled())[0]
    assert seen == {
        "status": 200,
        "text": "Grüße, 世界 👩‍🚀",
        "reads": 4,
        "failed": None,
        "requestId": settled["request_id"],
    }


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
