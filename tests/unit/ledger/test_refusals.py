"""Refused requests are booked when that is wanted, and never without an end."""

import pytest

from gateway.core.exchange import Outcome
from gateway.core.identity import ANONYMOUS
from gateway.ledger.refusals import Refusals
from tests.plugins.bookings import new_exchange
from tests.plugins.stored_keys import Clock


def test_so_many_a_minute_are_booked_and_no_more() -> None:
    """A flood of refused requests fills no disk."""
    clock = Clock(0.0)
    refusals = Refusals(2, clock)

    def take(at: float) -> bool:
        clock.now = at
        return refusals.take(new_exchange(outcome=Outcome.REJECTED))

    assert [take(at) for at in (5.0, 6.0, 64.9)] == [True, True, False]
    assert [take(at) for at in (65.0, 66.0, 67.0)] == [True, True, False]


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": Outcome.FINISHED},
        {"provider": ""},
        {"principal": None},
        {"principal": ANONYMOUS},
    ],
    ids=["answered", "of no provider", "of nobody", "of anybody"],
)
def test_of_the_others_there_is_nothing_to_say(fields: dict[str, object]) -> None:
    """Whoever is not known could use up what is for those who are."""
    exchange = new_exchange(**{"outcome": Outcome.REJECTED, **fields})

    assert not Refusals(1).take(exchange)


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.CLIENT_GONE])
def test_without_the_setting_nothing_is_booked(outcome: Outcome) -> None:
    """Off until somebody has a use for it."""
    assert not Refusals(0).take(new_exchange(outcome=outcome))
    assert Refusals(1).take(new_exchange(outcome=outcome))
