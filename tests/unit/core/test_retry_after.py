"""Whoever is turned away is told when to come back, and not all of them the same."""

import pytest

from gateway.core.retry_after import come_back


@pytest.mark.parametrize(("share", "said"), [(0.0, "1"), (0.3, "2"), (0.6, "3"), (1.0, "4")])
def test_those_who_are_refused_together_come_back_apart(share: float, said: str) -> None:
    """M03: a thousand clients that obey the header must not be the next storm."""
    told = come_back(draw=lambda low, high: low + share * (high - low))

    assert told == {"Retry-After": said}


def test_nobody_is_asked_back_before_it_can_help() -> None:
    """A fraction of a second is rounded up, or the first ones would be too early."""
    assert come_back(7.2, 10.0, draw=lambda low, _: low) == {"Retry-After": "8"}


def test_the_spread_is_real() -> None:
    """With the generator of the standard library, as it runs."""
    assert len({come_back()["Retry-After"] for _ in range(200)}) == 4
