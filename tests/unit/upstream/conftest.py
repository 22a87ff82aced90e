"""What the tests of the upstream connection share.

The rule here: every test that awaits runs on both loops, because they differ where it hurts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from gateway.upstream.dial import Target
from gateway.upstream.resolver import Resolver


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """A resolver, closed at the end."""
    opened = Resolver()
    yield opened
    opened.close()


@pytest.fixture
def make_target() -> Callable[..., Target]:
    """A target on loopback with short deadlines."""

    def make(port: int, **fields: object) -> Target:
        usual = {
            "label": "Groq",
            "host": "127.0.0.1",
            "port": port,
            "allow_private": True,
            "connect_s": 5.0,
            "tls_s": 5.0,
        }
        return Target(**{**usual, **fields})

    return make
