"""What becomes of an answer that fails after its first text.

The rule here: it is cut, so that whoever can tell a cut from an end is told.
"""

from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import chat, simulated
from tests.contract.entries import entry
from tests.contract.stepwise import StepwiseProvider, text_event
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway

MIDSTREAM = [
    {"preset": "cut"},
    {"preset": "reset"},
    {"preset": "cut-in-event"},
    {"preset": "cut-until-eof"},
    {"preset": "openai-stream-error"},
    {"preset": "groq-error"},
    {"preset": "openrouter-error", "stream_error": {"after_tokens": 3}},
    {"preset": "ollama-error", "stream_error": {"after_tokens": 3}},
    {"preset": "no-finish", "done": "never", "count": 3},
    {"preset": "invalid-json", "junk": {"after_tokens": 3}},
]


@pytest.mark.parametrize("directive", MIDSTREAM, ids=lambda directive: directive["preset"])
async def test_a_failure_after_the_first_text_cuts_without_the_last_chunk(
    single: Gateway, directive: dict[str, Any]
) -> None:
    """A clean end would say that half an answer is all of it."""
    heard = await chat(single, simulated(**directive))

    assert heard.status == 200
    assert not heard.is_whole
    assert (await single.log.wait_for_settled())[0]["outcome"] == "upstream_failed"


async def test_all_text_before_a_failure_is_delivered_first(
    stepped: Gateway, provider: StepwiseProvider
) -> None:
    """The front end keeps what it has read; a reset that overtook it would lose that too."""
    provider.send(*(text_event(word) for word in ("one", "two")), text_event("three")[:-9])
    provider.end("reset")

    heard = await chat(stepped)

    assert heard.framed == b"3\r\none\r\n3\r\ntwo\r\n"


async def test_a_notice_is_the_last_chunk_of_text_and_then_the_cut(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """It is the only way to tell a user of the front end; a program still sees the cut."""
    gateway = await start_gateway(
        providers={"sim": entry(simulator.base_url, on_stream_error="notice")},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    model = simulated(tokens=["Hel", "lo"], stream_error={"after_tokens": 2, "message": "Melted."})

    heard = await chat(gateway, model)

    assert heard.chunks == [b"Hel", b"lo", b"\n\n[Melted.]\n"]
    assert not heard.is_whole
