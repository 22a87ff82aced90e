"""The gateway answers in both dialects, from a provider on a real socket."""

import json

import aiohttp

from gateway.simulator import Simulator
from tests.plugins.gateway import CREDENTIAL, Gateway


async def test_a_chat_streams_the_provider_s_text(gateway: Gateway, simulator: Simulator) -> None:
    """The main job, end to end."""
    body = {"chatSettings": {"model": "plain"}, "messages": [{"role": "user", "content": "Hi"}]}

    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/api/chat/sim", data=json.dumps(body)) as reply,
    ):
        text = await reply.text()

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text == "This is a simulated answer. It says what it was told to say, and nothing else."
    assert simulator.journal.last.header("authorization") == f"Bearer {CREDENTIAL}"
    settled = await gateway.log.wait_for_settled()
    assert settled[0]["outcome"] == "finished"
