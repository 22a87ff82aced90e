"""Which credential is shown next, and which are not."""

from collections.abc import Callable

import pytest

from gateway.core.credential import CredentialState
from gateway.core.upstream_errors import UpstreamAnswerError
from gateway.credentials.pool import ALL_REFUSED_S, NEVER
from gateway.credentials.verdict import SET_ASIDE_S, SPENT_S
from tests.unit.credentials.conftest import NOW, Bench, answer

OpenBench = Callable[[int], Bench]

LIMITED = answer(429, retry_after="10")
REFUSED = answer(401)
SPENT = answer(429, "insufficient_quota")


def test_the_least_loaded_is_taken(open_bench: OpenBench) -> None:
    """An hour's stream and a short answer are both one request in flight."""
    bench = open_bench(3)

    taken = [bench.take() for _ in range(7)]
    assert [slot.credential.id for slot in taken if slot] == ["K0", "K1", "K2"] * 2 + ["K0"]
    for slot in (taken[1], taken[4]):
        assert slot is not None
        slot.give_back("a")

    assert bench.name() == "K1"
    assert [slot.in_flight for slot in bench.pool.slots] == [3, 0, 2]


def test_of_equals_the_one_that_waited_longest_is_taken(open_bench: OpenBench) -> None:
    """Requests one after the other reach all of them."""
    bench = open_bench(3)

    assert [bench.name() for _ in range(6)] == ["K0", "K1", "K2"] * 2


def test_a_limited_one_rests_until_its_time(open_bench: OpenBench) -> None:
    """Asking it would only cost a retry."""
    bench = open_bench(2)
    assert bench.fail(0, LIMITED)

    assert [bench.name() for _ in range(3)] == ["K1"] * 3
    bench.hand.now += 10.0

    assert bench.name() == "K0"
    assert bench.changes == [("K0", "resting"), ("K0", "ok")]


def test_a_later_answer_keeps_it_resting_and_is_no_news(open_bench: OpenBench) -> None:
    """Forty requests in flight are forty answers, and one line in the log."""
    bench = open_bench(2)

    for seconds in (10, 30, 20):
        bench.fail(0, answer(429, retry_after=str(seconds)))
    bench.hand.now += 20.0

    assert bench.states() == ["resting", "ok"]
    assert bench.changes == [("K0", "resting")]
    assert bench.pool.slots[0].until == 1030.0


def test_at_once_is_no_rest(open_bench: OpenBench) -> None:
    """The provider says that it may be asked."""
    bench = open_bench(2)

    bench.fail(0, answer(429, retry_after="0"))

    assert (bench.states(), bench.changes) == (["ok", "ok"], [])


def test_when_all_rest_none_is_shown_and_the_shortest_time_is_known(open_bench: OpenBench) -> None:
    """Callers are told when to come back, and come back to an answer."""
    bench = open_bench(2)
    bench.fail(0, answer(429, retry_after="30"))
    bench.fail(1, LIMITED)

    assert bench.take() is None
    assert bench.pool.wait_s("m") == 10.0
    bench.hand.now += 10.0

    assert bench.pool.wait_s("m") == 0.0
    assert bench.name() == "K1"


def test_another_model_is_asked_for_where_nothing_else_is_left(open_bench: OpenBench) -> None:
    """Limits of most providers are for one model: the others must not stop with it."""
    bench = open_bench(2)
    bench.fail(0, LIMITED, "large")
    assert bench.name(model="small") == "K1"
    bench.fail(1, LIMITED, "large")

    assert bench.take(model="large") is None
    assert bench.name(model="small") == "K0"
    assert bench.pool.wait_s("small") == 0.0
    bench.fail(0, answer(429, retry_after="60"), "small")
    bench.hand.now += 10.0

    assert bench.states() == ["resting", "ok"]
    assert {bench.name(model="large") for _ in range(3)} == {"K1"}


@pytest.mark.parametrize("error", [LIMITED, REFUSED, SPENT])
def test_one_models_trouble_does_not_take_the_others_with_it(
    open_bench: OpenBench, error: UpstreamAnswerError
) -> None:
    """A caller who asks for a model that is not paid for, or broken, must not stop everybody."""
    bench = open_bench(2)
    for number in (0, 1):
        bench.fail(number, error, "broken")
    before = bench.states()

    assert bench.take(model="broken") is None
    slots = [bench.take(who, "fine") for who in range(4)]
    for who, slot in enumerate(slots):
        assert slot is not None
        bench.pool.note_success(slot, who)

    assert [slot.in_flight for slot in bench.pool.slots] == [2, 2]
    assert bench.pool.wait_s("fine") == 0.0
    assert bench.states() == before  # it says nothing of the model that was told so


def test_whoever_was_asked_to_wait_is_taken_before_who_was_refused(open_bench: OpenBench) -> None:
    """It is known to the provider, at least."""
    bench = open_bench(3)
    for number, error in enumerate((REFUSED, LIMITED, SPENT)):
        bench.fail(number, error, "broken")

    assert [bench.name(model="fine") for _ in range(2)] == ["K1", "K1"]


def test_a_limit_of_one_that_is_set_aside_is_waited_for_too(open_bench: OpenBench) -> None:
    """It was refused with another model; with this one it was only asked to wait."""
    bench = open_bench(2)
    for number in (0, 1):
        bench.fail(number, REFUSED, "broken")
        bench.fail(number, LIMITED, "fine")

    assert bench.take(model="fine") is None
    assert bench.pool.wait_s("fine") == 10.0
    bench.hand.now += 10.0

    assert bench.name(model="fine") == "K0"
    assert bench.states() == ["set_aside", "set_aside"]


def test_a_refusal_of_a_further_model_does_not_put_off_its_trial(open_bench: OpenBench) -> None:
    """Whoever asks for one name after another would keep it aside for ever."""
    bench = open_bench(2)
    bench.fail(0, REFUSED, "one")
    bench.hand.now += SET_ASIDE_S - 1.0
    bench.fail(0, REFUSED, "two")
    bench.hand.now += 1.0

    assert bench.name(model="one") == "K0"


def test_a_refused_one_is_set_aside(open_bench: OpenBench) -> None:
    """A revoked credential costs one attempt, not one for each request."""
    bench = open_bench(2)

    bench.fail(0, REFUSED)

    assert [bench.name() for _ in range(3)] == ["K1"] * 3
    assert bench.states() == ["set_aside", "ok"]


@pytest.mark.parametrize(("error", "after_s"), [(REFUSED, SET_ASIDE_S), (SPENT, SPENT_S)])
def test_a_single_request_finds_out_whether_it_works_again(
    open_bench: OpenBench, error: UpstreamAnswerError, after_s: float
) -> None:
    """Somebody may have mended it, or paid; not a hundred need find out that nobody has."""
    bench = open_bench(2)
    bench.fail(0, error)
    bench.hand.now += after_s

    tried = bench.take("first")
    assert tried is bench.pool.slots[0]
    assert [bench.name(who) for who in range(3)] == ["K1"] * 3
    bench.pool.note_failure(tried, "first", "m", error)
    tried.give_back("first")
    assert bench.name() == "K1"
    bench.hand.now += after_s
    tried = bench.take("second")
    assert tried is bench.pool.slots[0]
    bench.pool.note_success(tried, "second")

    assert bench.states() == ["ok", "ok"]
    assert len(bench.changes) == 2


def test_one_that_may_be_tried_again_need_not_be_waited_for(open_bench: OpenBench) -> None:
    """A request that was just refused elsewhere goes on with it."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.hand.now += SET_ASIDE_S
    bench.fail(1, REFUSED)

    assert bench.pool.wait_s("m") == 0.0
    assert bench.take(may_try=False) is bench.pool.slots[0]
    assert bench.pool.wait_s("m") == NEVER


def test_who_could_not_try_another_does_not_try_a_refused_one(open_bench: OpenBench) -> None:
    """With `retries: 0` the request would fail where it need not."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.hand.now += SET_ASIDE_S

    assert bench.name(may_try=False) == "K1"
    bench.fail(1, LIMITED)
    assert bench.name(may_try=False) == "K0"


def test_who_could_not_try_another_is_rather_the_first_with_a_model(open_bench: OpenBench) -> None:
    """One that rests with other models may answer; the refused one has proven that it does not."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.hand.now += SET_ASIDE_S
    bench.fail(1, LIMITED, "another")

    assert bench.name(may_try=False) == "K1"
    assert bench.name(may_try=True) == "K0"


def test_what_was_known_against_one_that_works_again_is_forgotten(open_bench: OpenBench) -> None:
    """A long rest before it was mended must not come back with the next short one."""
    bench = open_bench(2)
    bench.fail(0, answer(429, retry_after="3600"), "another")
    bench.fail(0, REFUSED)
    bench.pool.restore(bench.pool.slots[0])

    bench.fail(0, LIMITED)
    bench.hand.now += 10.0

    assert bench.states() == ["ok", "ok"]


def test_who_found_that_it_works_is_not_waited_for_when_it_is_refused_again(
    open_bench: OpenBench,
) -> None:
    """An hour's stream that began well keeps nobody from trying once more."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.hand.now += SET_ASIDE_S
    tried = bench.take("streaming")
    assert tried is not None
    bench.pool.note_success(tried, "streaming")

    bench.fail(0, REFUSED)
    bench.hand.now += SET_ASIDE_S

    assert bench.take("next") is tried


def test_whoever_leaves_without_an_answer_lets_the_next_one_try(open_bench: OpenBench) -> None:
    """A caller who hung up must not leave a credential aside for ever."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.hand.now += SET_ASIDE_S
    tried = bench.take("gone")
    assert tried is not None

    tried.give_back("gone")

    assert bench.take("next") is tried


def test_success_of_a_request_that_began_before_proves_nothing(open_bench: OpenBench) -> None:
    """A stream goes on after its credential was revoked."""
    bench = open_bench(2)
    slot = bench.take("early")
    assert slot is not None
    bench.fail(0, REFUSED)

    bench.pool.note_success(slot, "early")

    assert bench.states() == ["set_aside", "ok"]


def test_a_lighter_answer_that_comes_late_changes_nothing(open_bench: OpenBench) -> None:
    """Of two requests in flight one was refused, and one was asked to wait before that."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)

    bench.fail(0, LIMITED)

    assert bench.states() == ["set_aside", "ok"]


def test_who_finds_a_limit_at_a_refused_one_has_found_that_it_works(open_bench: OpenBench) -> None:
    """A provider counts requests of credentials that it knows."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.hand.now += SET_ASIDE_S
    tried = bench.take("a")
    assert tried is not None

    bench.pool.note_failure(tried, "a", "m", LIMITED)

    assert bench.states() == ["resting", "ok"]


def test_when_all_are_refused_each_is_tried_now_and_then(open_bench: OpenBench) -> None:
    """A provider that fails at checking keys refuses all of them, and mends that without a word."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.hand.now += 1.0
    bench.fail(1, REFUSED)

    assert bench.take() is None
    assert bench.pool.wait_s("m") == NEVER
    bench.hand.now += ALL_REFUSED_S - 1.0
    tried = bench.take("a")
    assert tried is bench.pool.slots[0]
    assert bench.take("b") is None
    bench.pool.note_failure(tried, "a", "m", REFUSED)
    bench.hand.now += 1.0

    assert bench.take("b") is bench.pool.slots[1]


def test_the_only_credential_is_always_shown(open_bench: OpenBench) -> None:
    """A refusal of ours would help nobody; what the provider says is still seen."""
    bench = open_bench(1)

    for error in (LIMITED, SPENT, REFUSED):
        bench.fail(0, error)
        assert bench.name() == "K0"
    slot = bench.take("a")
    assert slot is not None
    bench.pool.note_success(slot, "a")

    assert [state for _, state in bench.changes] == ["resting", "spent", "set_aside", "ok"]
    assert bench.pool.is_lone


@pytest.mark.parametrize("error", [LIMITED, SPENT, REFUSED])
def test_one_model_that_works_and_one_that_does_not_are_no_news_every_time(
    open_bench: OpenBench, error: UpstreamAnswerError
) -> None:
    """A caller who asks for both in turn would fill the log, a line for each change."""
    bench = open_bench(1)

    for who in range(100):
        bench.fail(0, error, "broken")
        slot = bench.take(who, "fine")
        assert slot is not None
        bench.pool.note_success(slot, who)
        slot.give_back(who)

    assert len(bench.changes) == 1


def test_a_rest_that_was_over_before_the_next_one_is_told_as_two(open_bench: OpenBench) -> None:
    """Nobody may have looked in between."""
    bench = open_bench(1)
    bench.fail(0, LIMITED)
    bench.hand.now += 60.0

    bench.fail(0, LIMITED)

    assert [state for _, state in bench.changes] == ["resting", "ok", "resting"]


def test_what_is_not_the_credentials_fault_changes_nothing(open_bench: OpenBench) -> None:
    """The caller's model may be wrong a thousand times."""
    bench = open_bench(2)

    assert not bench.fail(0, answer(404))

    assert bench.states() == ["ok", "ok"]
    assert next(bench.pool.standings("groq")).last_error == ""


def test_an_operator_sees_state_load_and_reason(open_bench: OpenBench) -> None:
    """And when it is used again, by the clock on the wall."""
    bench = open_bench(2)
    bench.fail(0, LIMITED)
    bench.take()

    first, second = bench.pool.standings("groq")

    assert (first.provider, first.id, first.state) == ("groq", "K0", CredentialState.RESTING)
    assert (first.since, first.until, first.last_error_at) == (NOW, NOW + 10, NOW)
    assert (first.last_error, first.last_status) == ("upstream_rate_limited", 429)
    assert (second.state, second.in_flight, second.until) == (CredentialState.OK, 1, None)
    assert (second.since, second.last_error_at) == (None, None)
    assert "sk-" not in repr((first, second))
