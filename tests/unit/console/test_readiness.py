"""A flag that explains itself."""

from gateway.console.readiness import Readiness


def test_nothing_is_ready_before_it_says_so() -> None:
    """A listener that accepts before its parts are open fails the first requests."""
    assert (Readiness().is_ready, Readiness().reason) == (False, "starting")


def test_it_can_be_taken_back() -> None:
    """That is the first step of going down."""
    readiness = Readiness()
    readiness.set_ready()

    readiness.set_unready("draining")

    assert (readiness.is_ready, readiness.reason) == (False, "draining")
