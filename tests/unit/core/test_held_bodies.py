"""What bodies count for, and how long."""

import pytest

from gateway.core.errors import OverloadedError
from gateway.core.held_bodies import HeldBodies, HeldBody


def test_what_does_not_fit_is_refused_and_not_counted() -> None:
    """The others go on."""
    bodies = HeldBodies(100)
    HeldBody(bodies).keep(60)

    with pytest.raises(OverloadedError) as refusal:
        HeldBody(bodies).keep(41)

    assert 1 <= int(refusal.value.headers["Retry-After"]) <= 4
    assert bodies.held_bytes == 60


def test_a_body_is_let_go_once() -> None:
    """A stream does so when it begins, and whoever has read the body does so in the end."""
    bodies = HeldBodies(100)
    first, second = HeldBody(bodies), HeldBody(bodies)
    first.keep(30)
    first.keep(10)
    second.keep(20)

    first.let_go()
    first.let_go()

    assert (bodies.held_bytes, first.held_bytes, second.held_bytes) == (20, 0, 20)
