"""A provider's gate: one breaker for its host, one for each model that has answered."""

from typing import Any

import pytest

from gateway.config.registry import Provider
from gateway.core.breaker import BreakerState
from gateway.core.errors import ProviderUnavailableError, UpstreamError
from gateway.core.upstream_errors import (
    ProviderFault,
    UpstreamConnectError,
    UpstreamCutError,
    UpstreamFirstContentTimeoutError,
    UpstreamRejectedError,
    UpstreamServerError,
)
from gateway.upstream.gate import MODELS_MAX, Gate, Passage
from tests.plugins.chain import LogLines

BROKEN = UpstreamServerError("Groq", 500, ProviderFault("No."))
ABSENT = UpstreamRejectedError("Groq", 404, ProviderFault("No such model."))
UNREACHABLE = UpstreamConnectError("No.")


class Desk:
    """A gate on a clock that a test moves."""

    def __init__(self, **breaker: Any) -> None:
        self.now = 1_000.0
        self.has_lagged = False
        provider = Provider.model_validate(
            {"name": "groq", "base_url": "https://api.groq.com/openai/v1", "breaker": breaker}
        )
        self.gate = Gate(provider, lambda: self.has_lagged, lambda: self.now)

    def fail(self, error: UpstreamError, model: str = "m", times: int = 20) -> None:
        """So many attempts that fail so."""
        for _ in range(times):
            self.gate.note_failure(self.gate.enter(model), error)

    def work(self, model: str = "m", times: int = 1) -> None:
        """So many that succeed."""
        for _ in range(times):
            self.gate.note_success(self.gate.enter(model))

    def refuses(self, model: str) -> bool:
        """Whether a call to this model is refused, before it is made as when it is."""
        try:
            self.gate.check(model)
        except ProviderUnavailableError:
            with pytest.raises(ProviderUnavailableError):
                self.gate.enter(model)
            return True
        self.gate.leave(self.gate.enter(model))
        return False


def test_a_model_that_is_down_does_not_take_the_others_with_it() -> None:
    """Most outages of a big provider are of one model."""
    desk = Desk()
    desk.work("other")

    desk.fail(BROKEN, "m")

    assert desk.refuses("m")
    assert not desk.refuses("other")
    assert not desk.refuses("new")
    assert desk.gate.state is BreakerState.OPEN


def test_a_breaker_that_is_due_is_shown_so_though_nobody_asks() -> None:
    """Callers have gone to another provider; nobody is to be woken for that all night."""
    desk = Desk(open_s=10)
    desk.fail(BROKEN)
    desk.now += 13  # and its jitter

    assert desk.gate.state is BreakerState.HALF_OPEN
    assert not desk.refuses("m")


def test_a_host_that_is_down_is_down_for_all_models() -> None:
    """Whichever they are, and if each was asked only once."""
    desk = Desk()

    for number in range(20):
        desk.fail(UNREACHABLE, f"m{number}", times=1)

    assert desk.refuses("m1")
    assert desk.refuses("new")


def test_who_asks_for_models_that_are_not_there_harms_nobody() -> None:
    """Nor does it cost memory: a model has a breaker when it has answered."""
    desk = Desk()

    for number in range(500):
        desk.fail(ABSENT, f"no-such-{number}", times=1)

    assert not desk.refuses("m")
    assert desk.gate._models == {}  # noqa: SLF001 - what must not grow


def test_models_are_forgotten_rather_than_kept_without_end() -> None:
    """Their names are the callers'. Those that are known to be down are kept the longest."""
    desk = Desk()
    for number in range(3):
        desk.fail(BROKEN, f"down{number}")
    for number in range(MODELS_MAX * 3 // 2):
        desk.work(f"m{number}")

    assert len(desk.gate._models) == MODELS_MAX  # noqa: SLF001 - what must not grow
    assert all(desk.refuses(f"down{number}") for number in range(3))


def test_an_attempt_that_began_before_its_model_was_known_counts() -> None:
    """A hundred at once, of which a quarter fail, is no outage in whatever order they end."""
    desk = Desk()
    passages = [desk.gate.enter("m") for _ in range(100)]

    for passage in passages[:75]:
        desk.gate.note_success(passage)
    for passage in passages[75:]:
        desk.gate.note_failure(passage, BROKEN)

    assert not desk.refuses("m")


def test_a_passage_has_one_verdict() -> None:
    """The relay may say the same thing from two places."""
    desk = Desk()
    for _ in range(15):
        passage = desk.gate.enter("m")
        desk.gate.note_failure(passage, UNREACHABLE)
        desk.gate.leave(passage)
        desk.gate.note_success(passage)
        desk.gate.leave(passage)

    assert not desk.refuses("m")  # fifteen, not sixty


def test_an_answer_that_breaks_off_after_its_beginning_counts_against_the_model() -> None:
    """It began as a success, and is none."""
    desk = Desk()
    for _ in range(30):
        try:
            passage = desk.gate.enter("m")
        except ProviderUnavailableError:
            break
        desk.gate.note_success(passage)
        desk.gate.note_failure(passage, UpstreamCutError("No."))

    assert desk.refuses("m")
    assert not desk.refuses("other")


def test_our_own_lag_opens_nothing() -> None:
    """M10: a process that was stopped for two minutes finds all deadlines passed."""
    desk = Desk()
    desk.has_lagged = True

    desk.fail(UpstreamFirstContentTimeoutError("No."), times=200)

    assert not desk.refuses("m")


def test_it_can_be_switched_off() -> None:
    """By one word; then every request is sent."""
    desk = Desk(enabled=False)

    desk.fail(BROKEN, times=500)
    desk.fail(UNREACHABLE, times=500)

    assert not desk.refuses("m")


def test_the_refusal_says_when_to_come_back_and_names_no_model() -> None:
    """Its name is the caller's own text; the log has it."""
    desk = Desk()
    desk.fail(BROKEN, "their-model")

    with pytest.raises(ProviderUnavailableError) as refused:
        desk.gate.check("their-model")

    error = refused.value
    assert (error.status, error.code) == (503, "provider_unavailable")
    assert 8 <= int(error.headers["Retry-After"]) <= 16
    assert "their-model" not in error.public
    assert "their-model" in (error.detail or "")


def test_a_trial_of_the_host_is_not_lost_where_the_model_refuses() -> None:
    """Both are asked; what one has given is given back when the other says no."""
    desk = Desk()
    desk.fail(BROKEN, "down", times=20)
    desk.fail(UNREACHABLE, "m", times=40 - 20)
    desk.now += 12.1  # the longest that both stay open
    trial = desk.gate.enter("down")  # both are half-open now
    desk.gate.note_success(trial)
    held = [_enter(desk.gate, "down") for _ in range(2)]
    assert all(held)
    assert _enter(desk.gate, "down") is None

    for passage in held:
        assert passage is not None
        desk.gate.leave(passage)

    assert _enter(desk.gate, "m") is not None


def _enter(gate: Gate, model: str) -> Passage | None:
    try:
        return gate.enter(model)
    except ProviderUnavailableError:
        return None


def test_each_change_of_state_is_one_line(log_lines: LogLines) -> None:
    """Not one for each request that is refused."""
    desk = Desk()
    desk.fail(BROKEN, "m")
    for _ in range(50):
        assert desk.refuses("m")
    desk.now += 12.1
    desk.work("m")

    (opened,) = log_lines.find("breaker.opened")
    assert (opened["level"], opened["provider"], opened["model"]) == ("warning", "groq", "m")
    assert (opened["attempts"], opened["failures"]) == (20, 20)
    assert 8 <= opened["for_s"] <= 12
    assert len(log_lines.find("breaker.half_opened")) == 1
    assert log_lines.find("breaker.closed") == []
