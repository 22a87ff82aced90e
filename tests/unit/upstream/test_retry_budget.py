"""A provider in trouble gets hardly more requests than one that works."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.provider_blocks import RetryBudgetSpec
from gateway.upstream.retry_budget import HALF_S, RetryBudget


class Hand:
    """A provider's budget on a clock that a test moves."""

    def __init__(self, **fields: object) -> None:
        self.now = 1_000.0
        self.told: list[int] = []
        spec = RetryBudgetSpec.model_validate(fields)
        self.budget = RetryBudget(spec, self.told.append, lambda: self.now)

    def request(self, times: int = 1) -> None:
        """Requests that begin now."""
        for _ in range(times):
            self.budget.count_request(self.now)

    def retry(self, times: int = 1) -> int:
        """How many of so many retries may be made."""
        return sum(self.budget.take() for _ in range(times))


def test_a_storm_gets_a_fifth() -> None:
    """M03: with three attempts for each of them the provider would get 3,000."""
    hand = Hand()
    hand.request(1_000)

    assert hand.retry(2_000) == 200


def test_a_quiet_gateway_retries_as_it_always_did() -> None:
    """A fifth of one request is none."""
    hand = Hand()
    hand.request()

    assert hand.retry(2) == 2


def test_what_is_spare_does_not_come_on_top() -> None:
    """1.2 times is 1.2 times, as soon as there are fifty requests in ten seconds."""
    hand = Hand(spare=10)
    hand.request(50)

    assert hand.retry(50) == 10


def test_a_storm_of_yesterday_pays_for_nothing() -> None:
    """Requests count for ten seconds."""
    hand = Hand()
    hand.request(1_000)
    hand.now += 2 * HALF_S

    assert hand.retry(100) == 10


def test_it_can_be_switched_off() -> None:
    """Then each request has its own retries, and nothing else counts."""
    hand = Hand(enabled=False)

    assert hand.retry(1_000) == 1_000


def test_none_at_all_can_be_meant() -> None:
    """Nothing spare, and no share."""
    hand = Hand(share=0, spare=0)
    hand.request(100)

    assert hand.retry(5) == 0


def test_what_is_held_back_is_told_at_once_and_then_by_the_number() -> None:
    """Two lines for a storm, not one for each of its requests."""
    hand = Hand(spare=0, share=0)
    hand.retry(500)

    assert hand.told == [1]

    hand.now += HALF_S
    hand.request()

    assert hand.told == [1, 499]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 80), st.floats(0, 7)), max_size=60),
    st.sampled_from([0.0, 0.1, 0.2, 1.0]),
)
def test_over_any_time_the_share_is_kept(
    steps: Sequence[tuple[int, int, float]], share: float
) -> None:
    """Whatever comes when: each retry is paid for by requests, and none of them pays twice."""
    hand = Hand(share=share, spare=0)
    requests = retries = 0
    for begun, wanted, wait_s in steps:
        hand.request(begun)
        requests += begun
        retries += hand.retry(wanted)
        hand.now += wait_s

    # What the last two halves had is paid for by them together, so the sum is off by one half.
    assert retries <= 2 * share * requests


@pytest.mark.parametrize("seconds", [60])
def test_under_a_steady_storm_the_share_is_exact(seconds: int) -> None:
    """A minute of failures at 100 a second, each of which would be tried twice more."""
    hand = Hand()
    retries = 0
    for _ in range(seconds * 10):
        hand.request(10)
        retries += hand.retry(20)
        hand.now += 0.1

    assert retries <= 0.2 * seconds * 100
    assert retries >= 0.15 * seconds * 100
