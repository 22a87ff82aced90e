"""A call to a provider that fails is refused before anything is taken for it."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.config.registry import Provider
from gateway.core.dialect import Dialect
from gateway.core.errors import ProviderUnavailableError
from gateway.core.exchange import Exchange
from gateway.core.upstream_errors import UpstreamConnectError
from gateway.middleware.check_provider import check_provider
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, Call
from gateway.upstream.upstreams import UPSTREAMS, Upstreams

GROQ = Provider(name="groq", base_url="https://api.groq.com/openai/v1")


async def answer(_: web.Request) -> web.Response:
    """What comes after it."""
    return web.Response()


def ask(upstreams: Upstreams, *, is_call: bool = True) -> web.Request:
    """A request to groq, or one that is no call."""
    app = web.Application()
    app[UPSTREAMS] = upstreams
    request = make_mocked_request("POST", "/v1/chat/completions", app=app)
    request[EXCHANGE] = Exchange("a", 1.0, "POST", "/", "unix", ())
    if is_call:
        request[CALL] = Call(Dialect.OPENAI, GROQ, "m", stream=True, wants_usage=False)
    return request


async def test_what_fails_all_the_time_is_not_asked() -> None:
    """And nothing has been taken of a limit, nor any credential."""
    upstreams = Upstreams({"groq": GROQ}, simulator_url=None)
    gate = upstreams["groq"].gate
    assert (await check_provider(ask(upstreams), answer)).status == 200

    for _ in range(20):
        gate.note_failure(gate.enter("m"), UpstreamConnectError("No."))

    with pytest.raises(ProviderUnavailableError):
        await check_provider(ask(upstreams), answer)
    assert (await check_provider(ask(upstreams, is_call=False), answer)).status == 200
    upstreams.close()


async def test_a_caller_s_own_address_is_not_known_yet() -> None:
    """Which one it is is found with the credential; the relay looks again."""
    upstreams = Upstreams({}, simulator_url=None)

    assert (await check_provider(ask(upstreams), answer)).status == 200
    upstreams.close()
