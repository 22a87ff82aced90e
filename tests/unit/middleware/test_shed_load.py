"""Requests for answers that cannot be borne are refused before their bodies are read."""

import asyncio
import json

from aiohttp import web

from gateway.config.settings import Settings
from gateway.core.exchange import Outcome
from tests.plugins.chain import Running, StartChain, render_request

BODY = json.dumps({"model": "groq/m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
ONE = Settings.model_validate({"overload": {"max_in_flight": 1}})


class Held:
    """A handler that answers when it is let."""

    def __init__(self) -> None:
        self.is_in = asyncio.Event()
        self.may_go = asyncio.Event()

    async def answer(self, _: web.Request) -> web.StreamResponse:
        """Wait, then answer."""
        self.is_in.set()
        await self.may_go.wait()
        return web.json_response({})


async def ask(running: Running, path: str = "/v1/chat/completions") -> asyncio.Task:
    """A request for an answer, under way."""
    body = BODY
    if path != "/v1/chat/completions":
        body = json.dumps({"chatSettings": {"model": "m"}, "messages": []}).encode()
    return asyncio.ensure_future(running.ask("POST", path, body=body))


async def test_a_full_house_refuses_in_either_dialect(start_chain: StartChain) -> None:
    """M01: at once, with a time to come back that is not everybody's."""
    held = Held()
    running = await start_chain(held.answer, settings=ONE)
    first = await ask(running)
    await held.is_in.wait()

    second = await (await ask(running))
    third = await (await ask(running, "/api/chat/groq"))

    assert (second.status, second.json()["error"]["code"]) == (503, "overloaded")
    assert (third.status, third.json()["error"]["code"]) == (503, "overloaded")
    for refused in (second, third):
        assert 1 <= int(refused.headers["retry-after"]) <= 4
        assert refused.headers["x-should-retry"] == "false"
    held.may_go.set()
    assert (await first).status == 200
    exchange = await running.wait_settled(2)
    assert (exchange.outcome, exchange.error_code) == (Outcome.REJECTED, "overloaded")
    assert "1 in flight" in exchange.error_detail


async def test_the_place_of_one_who_has_left_is_free(start_chain: StartChain) -> None:
    """However it ended."""
    held = Held()
    running = await start_chain(held.answer, settings=ONE)
    (await ask(running)).cancel()
    first = await ask(running)
    await held.is_in.wait()
    first.cancel()
    await running.wait_settled()

    held.may_go.set()

    assert (await (await ask(running))).status == 200


async def test_a_body_that_is_refused_is_never_read(start_chain: StartChain) -> None:
    """M01: it is not even asked for, where the caller waits to be."""
    held = Held()
    running = await start_chain(held.answer, settings=ONE)
    first = await ask(running)
    await held.is_in.wait()

    headers = [("Expect", "100-continue"), ("Content-Length", "30000000")]
    raw = await running.send(render_request("POST", "/v1/chat/completions", headers=headers))

    assert raw.startswith(b"HTTP/1.1 503 ")
    held.may_go.set()
    await first


async def test_lists_are_answered_in_a_full_house(start_chain: StartChain) -> None:
    """They cost next to nothing, and somebody wants to see what is going on."""
    held = Held()
    running = await start_chain(held.answer, settings=ONE)
    first = await ask(running)
    await held.is_in.wait()
    held.may_go.set()

    assert (await running.ask("GET", "/v1/models")).status == 200
    await first
