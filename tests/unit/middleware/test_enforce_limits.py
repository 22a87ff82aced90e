"""The place for limits holds what it promises; tests/faults/test_i_limits.py has the rest."""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.app import CHAIN
from gateway.config.limit_rules import LimitSpec
from gateway.limits.limiter import Limiter
from gateway.middleware.enforce_limits import LIMITER, enforce_limits
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL
from gateway.stores.memory_counters import MemoryCounters
from tests.plugins.chain import StartChain

CHAT = b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":"Hi"}]}'


async def test_everything_is_known_where_it_stands(start_chain: StartChain) -> None:
    """A middleware of an operator's own, set after it, decides by these."""
    seen = []

    @web.middleware
    async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
        principal = request[EXCHANGE].principal
        seen.append((principal is not None, request[CALL].model, CREDENTIAL in request))
        return await handler(request)

    chain = await start_chain(chain=(*CHAIN, look))

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT)

    assert (reply.status, seen) == (200, [(True, "m", True)])
    assert CHAIN[-1] is enforce_limits


async def test_without_rules_nothing_is_asked(start_chain: StartChain) -> None:
    """An operator who limits nothing pays nothing."""
    chain = await start_chain()

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT)

    assert reply.status == 200
    assert chain.runner.app[LIMITER] is None
    assert not [name for name in reply.headers if "ratelimit" in name]


async def test_a_request_for_no_answer_is_not_counted(start_chain: StartChain) -> None:
    """A page that lists models costs nothing."""
    rule = LimitSpec(name="few", on="everything", requests_per_minute=1)
    chain = await start_chain(limiter=Limiter([rule], MemoryCounters()))

    statuses = [(await chain.ask()).status for _ in range(3)]
    first, second = [await chain.ask("POST", "/api/chat/groq", body=CHAT) for _ in range(2)]

    assert statuses == [200, 200, 200]
    assert (first.status, first.headers["x-ratelimit-remaining-requests"]) == (200, "0")
    assert (second.status, second.headers["retry-after"]) == (429, "60")
    assert second.json()["error"]["code"] == "request_rate_exceeded"
