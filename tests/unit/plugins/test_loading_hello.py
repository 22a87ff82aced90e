"""The example that ships: plugins/hello.py, through the real chain."""

import pytest
from aiohttp import web

from gateway.app import CHAIN
from gateway.config.settings import MiddlewareSpec, Settings
from gateway.plugins.loading import place
from tests.plugins.anybody import ANYBODY
from tests.plugins.chain import StartChain

SPEC = MiddlewareSpec(use="plugins.hello:stamp", after="authenticate")


async def stream(request: web.Request) -> web.StreamResponse:
    """An answer whose head is gone before the chain sees it again."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    return response


async def fail(_: web.Request) -> web.StreamResponse:
    """No answer at all."""
    raise ValueError("a bug")


@pytest.mark.parametrize("handler", [stream, fail, None], ids=["stream", "error", "whole"])
async def test_every_answer_is_stamped(start_chain: StartChain, handler: object) -> None:
    """A header that is missing on streams is one that people trip over."""
    chain = await start_chain(*([handler] if handler else []), chain=place(CHAIN, [SPEC]))

    assert (await chain.ask()).headers["x-hello"] == "local"


async def test_it_says_who_is_calling(start_chain: StartChain) -> None:
    """That is known where it stands."""
    settings = Settings(auth=(ANYBODY,))
    chain = await start_chain(settings=settings, chain=place(CHAIN, [SPEC]))

    assert (await chain.ask()).headers["x-hello"] == "anonymous"


async def test_further_out_nobody_is_known_yet(start_chain: StartChain) -> None:
    """The place in the chain is what a middleware may rely on."""
    before = MiddlewareSpec(use="plugins.hello:stamp", before="check_path")
    chain = await start_chain(chain=place(CHAIN, [before]))

    assert (await chain.ask()).headers["x-hello"] == "nobody"
