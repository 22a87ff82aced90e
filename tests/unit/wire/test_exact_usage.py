"""Usage with its fractions as they are written."""

from decimal import Decimal

import pytest

from gateway.wire.exact_usage import find_usage


def test_a_fraction_is_a_decimal() -> None:
    """A cost is money."""
    usage = find_usage(b'{"id": "x", "usage": {"cost": 0.00049701333333333333333, "n": 7}}')

    assert usage == {"cost": Decimal("0.00049701333333333333333"), "n": 7}
    assert type(usage["n"]) is int


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (b"{}", None),
        (b'{"usage": null}', None),
        (b"[1]", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"logprob": NaN, "usage": {"cost": 0.1}}', {"cost": Decimal("0.1")}),
        (b'{"usage": {"cost": 1e99999999999999999999}}', {"cost": None}),
        (b'{"logprob": NaN, "usage": {"cost": 1e99999999999999999999}}', {"cost": None}),
        (b'{"usage": ' + b"[" * 5_000 + b"}", None),
    ],
)
def test_whatever_a_provider_sends_is_read_as_far_as_it_can_be(body: bytes, usage: object) -> None:
    """It stands at the end of an answer that was sent: nothing may be raised."""
    assert find_usage(body) == usage
