"""A breaker opens when nearly nothing works, and lets go of a crowd slowly."""

import itertools
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.config.provider_blocks import BreakerSpec
from gateway.core.breaker import BreakerState
from gateway.upstream.breaker import CALM_S, ENOUGH_ROOM, JITTER, REFUSED, Breaker, Change

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


class Desk:
    """A breaker on a clock that a test moves, whose jitter a test sets."""

    def __init__(self, share: float = 0.5, **fields: Any) -> None:
        self.now = 1_000.0
        self.share = share
        self.told: list[Change] = []
        self.spec = BreakerSpec.model_validate(fields)
        self.breaker = Breaker(
            self.spec,
            self.told.append,
            lambda: self.now,
            lambda low, high: low + self.share * (high - low),
        )

    @property
    def state(self) -> BreakerState:
        """What it is in."""
        return self.breaker.state

    def attempt(self, *, has_failed: bool | None, times: int = 1) -> int:
        """Attempts one after the other; how many were let through."""
        let_in = 0
        for _ in range(times):
            ticket = self.breaker.enter()
            if ticket != REFUSED:
                let_in += 1
                self.breaker.note(ticket, self.now, has_failed=has_failed)
        return let_in

    def fail(self, times: int = 1) -> int:
        """So many failures."""
        return self.attempt(has_failed=True, times=times)

    def work(self, times: int = 1) -> int:
        """So many successes."""
        return self.attempt(has_failed=False, times=times)

    def open(self) -> None:
        """Have it opened."""
        self.fail(self.spec.min_attempts)
        assert self.state is OPEN

    def wait_open(self) -> None:
        """Wait until it lets somebody try."""
        self.now += self.breaker.wait_s


def test_it_opens_when_all_fail() -> None:
    """Then each further attempt is load for whoever has to get up again, and time of a caller."""
    desk = Desk()

    assert desk.fail(100) == 20
    assert desk.state is OPEN
    assert desk.breaker.enter() == REFUSED


def test_few_attempts_are_no_outage() -> None:
    """Somebody with one broken prompt must not lock out all others of a quiet gateway."""
    desk = Desk()

    desk.fail(19)

    assert desk.state is CLOSED


def test_half_of_them_is_the_limit() -> None:
    """Below it more requests would be lost by refusing than by asking."""
    desk = Desk()
    for _ in range(50):
        desk.work(2)
        desk.fail()
    assert desk.state is CLOSED

    desk.fail(60)

    assert desk.state is OPEN


def test_successes_of_a_moment_ago_count() -> None:
    """Timeouts come in bunches: twenty in a row are few of three hundred."""
    desk = Desk()
    desk.work(300)
    desk.now += 10

    desk.fail(25)

    assert desk.state is CLOSED


def test_what_was_before_the_window_does_not_count() -> None:
    """Neither for it nor against it."""
    desk = Desk()
    desk.fail(15)
    desk.now += 31
    desk.fail(15)
    assert desk.state is CLOSED

    desk = Desk()
    desk.work(300)
    desk.now += 31
    desk.fail(20)
    assert desk.state is OPEN


def test_a_verdict_that_says_nothing_is_no_attempt() -> None:
    """A caller who left, a 400, a limit: an outage is not made of them, nor hidden by them."""
    desk = Desk()

    desk.attempt(has_failed=None, times=100)
    desk.fail(20)

    assert desk.state is OPEN


@pytest.mark.parametrize(("share", "lasts_s"), [(0.0, 8.0), (0.5, 10.0), (1.0, 12.0)])
def test_processes_that_opened_together_do_not_ask_together(share: float, lasts_s: float) -> None:
    """M06: a fifth more or less."""
    desk = Desk(share)
    desk.open()

    assert desk.breaker.wait_s == pytest.approx(lasts_s)
    assert JITTER == 0.2


def test_one_is_let_through_when_the_time_is_over() -> None:
    """All the others are refused until it has said how it went."""
    desk = Desk()
    desk.open()
    desk.wait_open()
    assert not desk.breaker.refuses()

    ticket = desk.breaker.enter()

    assert desk.state is HALF_OPEN
    assert ticket != REFUSED
    assert desk.breaker.refuses()
    assert desk.breaker.enter() == REFUSED


def test_a_trial_that_fails_opens_it_for_twice_as_long() -> None:
    """And so on, to the longest time: a provider that is down for an hour is asked each minute."""
    desk = Desk()
    desk.open()
    waits = []
    for _ in range(5):
        waits.append(desk.breaker.wait_s)
        desk.wait_open()
        desk.fail()
        assert desk.state is OPEN

    assert waits == [10, 20, 40, 60, 60]


def test_one_success_does_not_heal_it() -> None:
    """M04: a provider that has answered one caller is not up for five thousand."""
    desk = Desk()
    desk.open()
    desk.wait_open()

    desk.work()

    assert desk.state is HALF_OPEN
    tickets = [desk.breaker.enter() for _ in range(5_000)]
    assert sum(ticket != REFUSED for ticket in tickets) == 2


def test_a_crowd_is_let_in_by_doubling() -> None:
    """M04: as many more as have been answered, so a second collapse is seen before it is one."""
    desk = Desk()
    desk.open()
    desk.wait_open()
    rounds = []
    waiting = 5_000
    while waiting:
        tickets = [t for t in (desk.breaker.enter() for _ in range(waiting)) if t != REFUSED]
        rounds.append(len(tickets))
        waiting -= len(tickets)
        for ticket in tickets:
            desk.breaker.note(ticket, desk.now, has_failed=False)
        desk.now += 2  # the others come back

    assert rounds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 905]
    assert desk.state is HALF_OPEN


def test_it_closes_when_nobody_has_been_refused_for_a_while() -> None:
    """Those whom it refused were told to come back, and may be a crowd; looking counts too."""
    desk = Desk()
    desk.open()
    desk.wait_open()
    desk.work(ENOUGH_ROOM - 2)
    out = [desk.breaker.enter() for _ in range(ENOUGH_ROOM - 1)]
    assert desk.breaker.refuses()

    desk.now += CALM_S - 0.1
    desk.breaker.note(out.pop(), desk.now, has_failed=False)
    assert desk.state is HALF_OPEN

    desk.now += 0.2
    desk.breaker.note(out.pop(), desk.now, has_failed=False)
    assert desk.state is CLOSED


def test_a_second_collapse_halves_the_trickle_and_then_opens() -> None:
    """M04: it falters at so many at a time, and is not pushed over again."""
    desk = Desk()
    desk.open()
    desk.wait_open()
    desk.work(ENOUGH_ROOM - 2)
    tickets = [t for t in (desk.breaker.enter() for _ in range(100)) if t != REFUSED]
    assert len(tickets) == ENOUGH_ROOM - 1

    desk.breaker.note(tickets.pop(), desk.now, has_failed=True)
    assert desk.state is HALF_OPEN
    assert desk.breaker.enter() == REFUSED  # six are out, three may be
    while desk.state is HALF_OPEN:
        desk.breaker.note(tickets.pop(), desk.now, has_failed=True)

    assert desk.state is OPEN
    assert len(tickets) >= 2


def test_a_trial_that_never_ends_keeps_nobody_out_for_ever() -> None:
    """Its deadline may be two minutes, and the provider may be well after ten seconds."""
    desk = Desk()
    desk.open()
    desk.wait_open()
    desk.breaker.enter()
    assert desk.breaker.enter() == REFUSED

    desk.now += desk.spec.open_s

    assert desk.breaker.enter() != REFUSED


def test_a_trial_that_says_nothing_makes_room_for_the_next() -> None:
    """Its caller left, or what was asked was wrong."""
    desk = Desk()
    desk.open()
    desk.wait_open()

    assert desk.attempt(has_failed=None, times=3) == 3
    assert desk.state is HALF_OPEN


def test_what_was_sent_before_it_opened_proves_nothing_later() -> None:
    """A stream that began in better times and ends well is no sign of recovery."""
    desk = Desk()
    old = [desk.breaker.enter() for _ in range(50)]
    desk.open()
    desk.wait_open()
    trial = desk.breaker.enter()

    for ticket in old:
        desk.breaker.note(ticket, desk.now, has_failed=False)
    assert desk.breaker.enter() == REFUSED

    desk.breaker.note(trial, desk.now, has_failed=True)
    for ticket in old:
        desk.breaker.note(ticket, desk.now, has_failed=True)
    assert desk.state is OPEN
    assert [change.state for change in desk.told] == [OPEN, HALF_OPEN, OPEN]


def test_a_failure_after_a_good_beginning_counts() -> None:
    """A provider that begins every answer and breaks off each has not worked once."""
    desk = Desk()
    for _ in range(40):
        ticket = desk.breaker.enter()
        if ticket == REFUSED:
            break
        desk.breaker.note(ticket, desk.now, has_failed=False)
        desk.breaker.note_late(ticket, desk.now)

    assert desk.state is OPEN


def test_a_late_failure_of_a_trial_counts_too() -> None:
    """Half-open means that somebody looks closely."""
    desk = Desk()
    desk.open()
    desk.wait_open()
    ticket = desk.breaker.enter()
    desk.breaker.note(ticket, desk.now, has_failed=False)

    desk.breaker.note_late(ticket, desk.now)

    assert desk.state is OPEN


def test_a_trial_that_fails_late_has_not_worked_either() -> None:
    """M04: counted twice it is half a success, and a provider that breaks off all comes through."""
    desk = Desk(failure_share=0.8)
    desk.open()
    desk.wait_open()
    for _ in range(3):
        ticket = desk.breaker.enter()
        desk.breaker.note(ticket, desk.now, has_failed=False)
        desk.breaker.note_late(ticket, desk.now)
        if desk.state is OPEN:
            break

    assert [change.state for change in desk.told] == [OPEN, HALF_OPEN, OPEN]
    assert (desk.told[-1].attempts, desk.told[-1].failures) == (1, 1)


def test_a_late_failure_of_another_state_does_not() -> None:
    """It was known by then."""
    desk = Desk()
    ticket = desk.breaker.enter()
    desk.open()

    desk.breaker.note_late(ticket, desk.now)

    assert [change.state for change in desk.told] == [OPEN]


def test_who_was_well_for_long_begins_with_the_short_time() -> None:
    """And who fails again right after it was let go of does not."""
    desk = Desk()
    desk.open()
    desk.wait_open()
    desk.work(ENOUGH_ROOM)
    assert desk.state is CLOSED
    desk.open()
    assert desk.breaker.wait_s == 20

    desk.wait_open()
    desk.work(ENOUGH_ROOM)
    desk.now += desk.spec.max_open_s
    desk.open()
    assert desk.breaker.wait_s == 10


def test_each_change_is_told_once_with_what_led_to_it() -> None:
    """One line for each change of state."""
    desk = Desk()
    desk.fail(30)
    desk.wait_open()
    desk.work(ENOUGH_ROOM)

    assert desk.told == [
        Change(OPEN, 20, 20, 10.0),
        Change(HALF_OPEN),
        Change(CLOSED, ENOUGH_ROOM - 1, 0),
    ]


class Machine(RuleBasedStateMachine):
    """Whatever happens in whatever order, it refuses only while it may."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(min_attempts=5, window_s=10, open_s=2, max_open_s=8)
        self.out: list[tuple[int, int]] = []  # tickets, and how many changes there were by then

    @rule()
    def enter(self) -> None:
        """An attempt begins, unless it is refused."""
        was = self.desk.state
        ticket = self.desk.breaker.enter()
        if ticket == REFUSED:
            assert was is not CLOSED
        else:
            assert self.desk.state is not OPEN
            self.out.append((ticket, len(self.desk.told)))

    @precondition(lambda self: self.out)
    @rule(place=st.integers(0, 10_000), has_failed=st.sampled_from([True, False, None]))
    def note(self, place: int, *, has_failed: bool | None) -> None:
        """Any of those under way ends."""
        ticket, changes = self.out.pop(place % len(self.out))
        before = len(self.desk.told)
        self.desk.breaker.note(ticket, self.desk.now, has_failed=has_failed)
        if changes != before:
            assert len(self.desk.told) == before, "an attempt of another state changed this one"
        if len(self.desk.told) > before:
            is_worse = self.desk.state is OPEN
            assert has_failed is is_worse

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.desk.now += seconds

    @invariant()
    def is_sound(self) -> None:
        """The states follow each other, and no wait is longer than it may be."""
        states = [CLOSED, *(change.state for change in self.desk.told)]
        follows = {(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)}
        assert set(itertools.pairwise(states)) <= follows
        assert states[-1] is self.desk.state
        assert 0 <= self.desk.breaker.wait_s <= 8 * (1 + JITTER)
        if self.desk.breaker.wait_s == 0 and self.desk.state is OPEN:
            assert not self.desk.breaker.refuses()


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
test_it_is_sound_whatever_happens = Machine.TestCase
