"""The bodies that are held: counted while they are, and not a moment longer."""

import pytest

from gateway.core.errors import OverloadedError
from gateway.core.held_bodies import HeldBodies, HeldBody


def test_the_sum_of_all_is_bounded() -> None:
    """One too many is told to come back; it changes nothing for the others."""
    bodies = HeldBodies(100)
    first, second = HeldBody(bodies), HeldBody(bodies)
    first.add(60)

    second.check_room(40)
    with pytest.raises(OverloadedError) as caught:
        second.check_room(41)

    assert caught.value.headers["Retry-After"] == "1"
    assert bodies.held_bytes == 60


def test_a_body_is_let_go_of_once() -> None:
    """Both the relay and the chain do it, each not knowing whether the other has."""
    bodies = HeldBodies(100)
    first, second = HeldBody(bodies), HeldBody(bodies)
    first.add(30)
    second.add(20)

    first.let_go()
    first.let_go()

    assert (first.held_bytes, bodies.held_bytes) == (0, 20)
