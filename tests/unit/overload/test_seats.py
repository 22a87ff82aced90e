"""Whose turn it is when there is not room for all."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.exchange import Exchange, Outcome
from gateway.overload.seats import CLAIM_S, LEAST, MOST_CLAIMS, Seats


class Desk:
    """Seats, and those who sit on them."""

    def __init__(self, most: int) -> None:
        self.now = 1_000.0
        self.seats = Seats(most, lambda: self.now)
        self.seated: dict[str, list[Exchange]] = {}

    def take(self, holder: str, times: int = 1) -> int:
        """How many of so many exchanges get a seat."""
        got = 0
        for _ in range(times):
            exchange = Exchange("a", 1.0, "POST", "/", "unix", (self.seats.settle,))
            if self.seats.take(exchange, holder):
                self.seated.setdefault(holder, []).append(exchange)
                got += 1
        return got

    def leave(self, holder: str, times: int = 1) -> None:
        """Some of them are settled."""
        for _ in range(times):
            self.seated[holder].pop().settle(Outcome.FINISHED, at=2.0)


def test_one_caller_alone_may_have_all() -> None:
    """A share of one is the whole."""
    desk = Desk(100)

    assert desk.take("alice", 150) == 100


def test_one_who_wants_a_hundred_times_as_much_leaves_room_for_the_others() -> None:
    """M05: of the last fifth everybody gets who has less than their share."""
    desk = Desk(100)
    desk.take("greedy", 50)
    desk.take("bob")

    assert desk.take("greedy", 10_000) == 29  # four fifths of all are taken then
    assert desk.take("bob", 10) == 10
    assert desk.take("carol", 10) == 10
    assert desk.take("greedy") == 0


def test_who_was_greedy_goes_down_to_their_share() -> None:
    """As their exchanges end and those of others begin."""
    desk = Desk(100)
    desk.take("greedy", 100)
    for _ in range(50):
        desk.leave("greedy")
        desk.take("bob")
        desk.take("greedy", 3)

    assert Counter({name: len(sitting) for name, sitting in desk.seated.items()}) == {
        "greedy": 50,
        "bob": 50,
    }


def test_who_came_in_vain_gets_the_next_seat() -> None:
    """M05: whoever asks a hundred times as often is there first each time that one is free."""
    desk = Desk(100)
    desk.take("greedy", 100)
    assert desk.take("bob") == 0

    desk.leave("greedy")
    assert desk.take("greedy", 1_000) == 0
    desk.now += CLAIM_S  # bob was told to come back by then
    assert desk.take("greedy", 1_000) == 0
    assert desk.take("bob") == 1

    desk.leave("greedy", 60)
    assert desk.take("greedy", 1_000) == 40  # four fifths are open to all, and bob has one of them


@pytest.mark.parametrize("waits_s", [0.0, CLAIM_S])
def test_who_has_got_a_seat_counts_once(waits_s: float) -> None:
    """With what was kept for them there would be one more to share with, who is nobody."""
    desk = Desk(100)
    desk.take("greedy", 100)
    desk.take("bob")
    desk.now += waits_s
    desk.take("greedy")  # when there is no room it is looked whose claim is old
    desk.leave("greedy", 50)

    assert desk.take("bob", 100) == 50


def test_a_seat_is_kept_for_nobody_for_long() -> None:
    """Whoever did not come back does not want it any more."""
    desk = Desk(100)
    desk.take("greedy", 100)
    desk.take("bob")
    desk.leave("greedy")
    assert desk.take("greedy") == 0

    desk.now += 2 * CLAIM_S

    assert desk.take("greedy") == 1


def test_so_many_claims_are_kept_and_no_more() -> None:
    """Names are cheap."""
    desk = Desk(1)
    desk.take("alice")
    for number in range(MOST_CLAIMS * 3):
        desk.take(f"caller-{number}")

    assert sum(map(len, desk.seats._claims)) == MOST_CLAIMS  # noqa: SLF001 - what must not grow


def test_everybody_gets_one_however_many_there_are() -> None:
    """A share below one would be none for all."""
    desk = Desk(400)
    desk.take("greedy", 400)
    desk.seats.shrink(0.25)
    assert desk.seats.limit == 100
    desk.leave("greedy", 300)

    assert sum(desk.take(f"caller-{number}") for number in range(300)) == 100


def test_most_is_most() -> None:
    """Whoever asks."""
    desk = Desk(50)

    assert sum(desk.take(f"caller-{number}") for number in range(300)) == 50
    assert Desk(1).take("alice", 3) == 1


def test_less_is_let_in_when_less_can_be_borne_and_more_when_it_can() -> None:
    """From what is in flight, not from a limit that was never reached."""
    desk = Desk(10_000)
    desk.take("alice", 200)

    desk.seats.shrink(0.9)
    assert desk.seats.limit == 180
    assert desk.take("alice") == 0

    desk.leave("alice", 100)
    desk.seats.grow(1.5)
    assert desk.seats.limit == 270
    assert desk.take("alice", 500) == 170

    for _ in range(50):
        desk.seats.grow(1.5)
    assert desk.seats.limit == 10_000


def test_a_few_are_always_let_in() -> None:
    """They are no load; what is slow then is slow for another reason."""
    desk = Desk(10_000)
    for _ in range(100):
        desk.seats.shrink(0.7)

    assert desk.take("alice", 100) == LEAST


def test_who_asks_twice_has_one_seat() -> None:
    """A middleware may call the rest of the chain again."""
    seats = Seats(10)
    exchange = Exchange("a", 1.0, "POST", "/", "unix", ())

    assert seats.take(exchange, "alice")
    assert seats.take(exchange, "alice")
    assert seats.count == seats.count_of("alice") == 1

    seats.settle(exchange)
    seats.settle(exchange)
    assert seats.count == seats.count_of("alice") == 0


def test_who_is_settled_takes_no_seat_any_more() -> None:
    """A middleware may ask again after the end, and nobody would give that seat back."""
    seats = Seats(10)
    exchange = Exchange("a", 1.0, "POST", "/", "unix", (seats.settle,))
    exchange.settle(Outcome.FINISHED, at=2.0)

    assert seats.take(exchange, "alice")
    assert seats.count == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(1, 40), st.sampled_from("tls+")),
        max_size=80,
    ),
    st.integers(1, 120),
)
def test_nothing_is_lost_whoever_comes_and_goes(
    steps: Sequence[tuple[str, int, str]], most: int
) -> None:
    """No count goes astray, and whoever has none gets one while there is any."""
    desk = Desk(most)
    for holder, times, what in steps:
        if what == "t":
            desk.take(holder, times)
        elif what == "l":
            desk.leave(holder, min(times, len(desk.seated.get(holder, ()))))
        elif what == "s":
            desk.seats.shrink(0.7)
        else:
            desk.seats.grow(1.5)
        sitting = {name: len(seated) for name, seated in desk.seated.items() if seated}
        assert desk.seats.count == sum(sitting.values()) <= most
        assert all(desk.seats.count_of(name) == count for name, count in sitting.items())
        assert min(LEAST, most) <= desk.seats.limit <= most
    if desk.seats.count < min(most, 2 * desk.seats.limit):
        assert desk.take("somebody new") == 1
