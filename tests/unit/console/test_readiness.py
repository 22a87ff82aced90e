"""A flag that explains itself."""

from gateway.console.readiness import Readiness, sum_up


def test_nothing_is_ready_before_it_says_so() -> None:
    """A listener that accepts before its parts are open fails the first requests."""
    assert (Readiness().is_ready, Readiness().reason) == (False, "starting")


def test_it_can_be_taken_back() -> None:
    """That is the first step of going down."""
    readiness = Readiness()
    readiness.set_ready()

    readiness.set_unready("draining")

    assert (readiness.is_ready, readiness.reason) == (False, "draining")


def test_alone_it_is_the_only_worker() -> None:
    """Whoever shows it knows several."""
    assert Readiness().states() == {"0": "starting"}


def test_one_of_several_that_is_ready_is_enough() -> None:
    """Callers reach that one: they have one port."""
    assert sum_up({"0": "starting", "1": "ready"}) == "ready"
    assert sum_up({"0": "draining", "1": "starting"}) == "draining"
    assert sum_up({"0": "down", "1": "ready"}) == "ready"
    assert sum_up({"0": "down", "1": "starting"}) == "starting"  # and answers
    assert sum_up({}) == "starting"
