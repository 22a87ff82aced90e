"""The states of a breaker are words that metrics and people read."""

from gateway.core.breaker import BreakerState


def test_the_states_are_in_their_order() -> None:
    """The gravest of several is the last of them: whoever lists states relies on it."""
    assert [state.value for state in BreakerState] == ["closed", "half_open", "open"]
