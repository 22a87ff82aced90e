"""A request that goes round in a circle comes to an end."""

import pytest
from multidict import CIMultiDict

from gateway import __version__
from gateway.core.errors import RequestLoopError
from gateway.wire.hops import MAX_HOPS, list_hops

GATEWAY = {"User-Agent": f"chat-gateway/{__version__}"}


def test_a_caller_that_is_no_gateway_sends_none_on() -> None:
    """Providers see nothing new."""
    assert list_hops(CIMultiDict({"User-Agent": "OpenAI/Python 2.0"})) == ()
    assert list_hops(CIMultiDict()) == ()


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        (GATEWAY, "2"),
        ({**GATEWAY, "x-gateway-hops": "2"}, "3"),
        ({"X-Gateway-Hops": "2"}, "3"),  # an operator has named the one before otherwise
        ({**GATEWAY, "X-Gateway-Hops": "no number"}, "2"),
        ({**GATEWAY, "X-Gateway-Hops": "1" * 5_000}, "2"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_gateway_is_counted(headers: dict[str, str], sent: str) -> None:
    """Whatever stands in the header, which anybody may send."""
    assert list_hops(CIMultiDict(headers)) == (("X-Gateway-Hops", sent),)


@pytest.mark.parametrize("hops", [MAX_HOPS, 99])
def test_too_many_are_refused(hops: int) -> None:
    """With a status that no gateway on the way takes for a reason to try again."""
    with pytest.raises(RequestLoopError) as refused:
        list_hops(CIMultiDict({**GATEWAY, "X-Gateway-Hops": str(hops)}))

    assert refused.value.status == 400
