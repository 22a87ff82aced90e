"""A stream whose head cannot be sent: nobody is left reading the provider.

The rule here: the mistake is an operator"s, made where the plugin interface invites it.
"""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.plugins.api import RESPONSE_HEADERS
from gateway.simulator import Simulator
from tests.plugins.gateway import CREDENTIAL, StartGateway


@web.middleware
async def spoil_head(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add a header that aiohttp refuses to write, to streams only, when nobody looks any more."""
    if request.method == "POST":
        added = request[RESPONSE_HEADERS]
        asyncio.get_running_loop().call_soon(added.update, {"X-Team": "a\r\nb"})
    return await handler(request)


async def test_the_provider_is_let_go_when_the_head_cannot_be_sent(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """Its tokens are paid for, and no caller will ever see them."""
    gateway = await start_gateway(
        providers={"sim": {"base_url": simulator.base_url, "allow_private": True}},
        settings={
            "middleware": [{"use": f"{__name__}:spoil_head", "after": "authenticate"}],
        },
        environ={"SIM_API_KEY": CREDENTIAL},
    )
    gateway.allowed_words = ("Traceback", "request.crashed")
    body = {"model": "sim/stall", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}

    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerDisconnectedError):  # an error page has that header too
            await session.post(f"{gateway.url}/v1/chat/completions", json=body)
        async with asyncio.timeout(5):
            await simulator.journal.last.peer_left.wait()

    settled = await gateway.log.wait_for_settled()
    assert len(settled) == 1
    assert settled[0]["outcome"] != "finished"
    assert not simulator.journal.last.finished
