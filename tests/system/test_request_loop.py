"""A provider whose address leads back to the gateway, as a row of a user's own may.

The rule here: between the two is a program that passes on bytes, as a proxy does.
"""

import asyncio
import contextlib

import aiohttp

from gateway.wire.hops import MAX_HOPS
from tests.plugins.gateway import StartGateway

CHAT = {"chatSettings": {"model": "again"}, "messages": [{"role": "user", "content": "Hi"}]}
BODY = {"model": "self/again", "messages": [{"role": "user", "content": "Hi"}]}


class PassOn:
    """A port that leads to another one, which is known later."""

    def __init__(self) -> None:
        self.to_port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection, both ways, until both sides have ended."""
        beyond_reader, beyond_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        await asyncio.gather(_copy(reader, beyond_writer), _copy(beyond_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
    writer.close()


async def test_a_request_that_comes_back_to_its_gateway_comes_to_an_end(
    start_gateway: StartGateway,
) -> None:
    """One request was all that a caller needed to fill every place there is."""
    pass_on = PassOn()
    async with await asyncio.start_server(pass_on, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        gateway = await start_gateway(
            providers={
                "self": {
                    "base_url": f"http://127.0.0.1:{port}/v1",
                    "allow_private": True,
                    "auth": {"required": False},
                    "max_connections": 2 * MAX_HOPS,  # for the time before this was refused
                    "models": [{"id": "self/again", "alias": "again"}],
                }
            }
        )
        pass_on.to_port = gateway.port
        async with aiohttp.ClientSession(gateway.url) as session:
            answers = [
                await session.post("/v1/chat/completions", json=BODY),
                await session.post("/v1/chat/completions", json={**BODY, "stream": True}),
                await session.post("/api/chat/self", json=CHAT),
            ]
            told = [(answer.status, await answer.text()) for answer in answers]
        settled = await gateway.log.wait_for_settled(3 * (MAX_HOPS + 1))
        await gateway.service.stop()

    assert [status for status, _ in told] == [400] * 3
    assert all(f"has come through {MAX_HOPS} gateways" in text for _, text in told)
    assert [line["error_code"] for line in settled].count("request_loop") == 3
    assert len(settled) == 3 * (MAX_HOPS + 1)  # one that begins, and one through each
