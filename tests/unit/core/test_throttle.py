"""So often a minute, and no oftener; who waits as long as told may go on."""

from gateway.core.throttle import Throttle
from tests.plugins.stored_keys import Clock


def test_a_minutes_worth_may_come_at_once_and_then_evenly() -> None:
    """Somebody who opens a page asks several times, and a program for ever."""
    clock = Clock()
    throttle = Throttle(clock, 6)
    for _ in range(6):
        assert throttle.wait_s("alice") == 0
        throttle.count("alice")

    assert (throttle.wait_s("alice"), throttle.wait_s("bob")) == (10, 0)
    clock.now += 10
    assert throttle.wait_s("alice") == 0
    throttle.count("alice")
    assert throttle.wait_s("alice") == 10


def test_no_more_are_remembered_than_that() -> None:
    """Names are free; the one who was quiet for the longest time is forgotten."""
    throttle = Throttle(Clock(), 1, names_max=2)
    for name in ("alice", "bob", "alice", "carol"):
        throttle.count(name)

    assert len(throttle) == 2
    assert (throttle.wait_s("bob"), throttle.wait_s("carol")) == (0, 60)
    assert throttle.wait_s("alice") == 120
