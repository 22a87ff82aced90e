"""Everybody is somebody."""

from aiohttp.test_utils import make_mocked_request

from gateway.auth.anonymous import Anonymous
from gateway.core.identity import ANONYMOUS


async def test_everybody_is_let_in() -> None:
    """Whether they may is for the loop to say."""
    assert await Anonymous().recognise(make_mocked_request("GET", "/"), "any") is ANONYMOUS
