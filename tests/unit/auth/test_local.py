"""Without `auth`, only direct calls from this machine are answered.

tests/unit/middleware/test_authenticate.py has the calls themselves, over real sockets.
"""

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.auth.local import LOCAL, LocalCalls, is_loopback
from gateway.auth.method import Refusal


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_loopback_is_recognised(host: str) -> None:
    """In all its spellings."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_nothing_else_is_loopback(host: str) -> None:
    """A name that resolves to 127.0.0.1 today may not tomorrow."""
    assert not is_loopback(host)


async def test_a_listener_that_others_reach_has_no_local_callers() -> None:
    """Behind one there may be anything."""
    request = make_mocked_request("GET", "/", {"Host": "127.0.0.1"})

    assert isinstance(await LocalCalls("0.0.0.0").recognise(request, None), Refusal)


@pytest.mark.parametrize("remote", ["192.0.2.7", "::ffff:192.0.2.7", "", None])
async def test_who_calls_from_elsewhere_is_not_local(remote: str | None) -> None:
    """Wherever it listens, as far as it knows: a socket may have been handed to it."""
    request = make_mocked_request("GET", "/", {"Host": "127.0.0.1"})
    called = request.clone(remote=remote) if remote is not None else request

    assert isinstance(await LocalCalls("127.0.0.1").recognise(called, None), Refusal)
    near = request.clone(remote="127.0.0.1")
    assert await LocalCalls("127.0.0.1").recognise(near, None) is LOCAL
