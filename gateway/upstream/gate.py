"""Whether a provider may be called: a breaker for its host, and one for each model.

The rule here: a model that is down does not take the others with it, and neither does a caller who
asks for models that do not exist. A model gets its breaker when it first answers.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import structlog

from gateway.config.registry import Provider
from gateway.core.breaker import BreakerState
from gateway.core.clock import Clock, monotonic
from gateway.core.errors import ProviderUnavailableError, UpstreamError
from gateway.core.retry_after import come_back
from gateway.core.upstream_errors import UpstreamAnswerError
from gateway.upstream.breaker import REFUSED, Breaker, Change
from gateway.upstream.faults import Culprit, find_culprit

# Callers may ask for models of any name, so above this number the oldest are forgotten.
MODELS_MAX = 200
NEW = 0  # the ticket of a breaker's first state; attempts older than the breaker use it too

_log = structlog.get_logger()


class Passage(msgspec.Struct):
    """An attempt that was let through; its verdict is noted once."""

    model: str
    host_ticket: int
    breaker: Breaker | None  # the model's
    model_ticket: int
    is_noted: bool = False


class Gate:
    """The gate that every attempt at one provider passes through."""

    def __init__(
        self,
        provider: Provider,
        has_lagged: Callable[[], bool] = lambda: False,
        clock: Clock = monotonic,
    ) -> None:
        self._provider = provider
        self._spec = provider.breaker
        self._has_lagged = has_lagged
        self._clock = clock
        self._host = self._make_breaker(None)
        self._models: dict[str, Breaker] = {}

    @property
    def state(self) -> BreakerState:
        """The worst state among the host and its models."""
        breakers = (self._host, *self._models.values())
        states = {breaker.standing for breaker in breakers}
        return next((one for one in reversed(BreakerState) if one in states), BreakerState.CLOSED)

    def check(self, model: str) -> None:
        """Raise if an attempt at this model would be refused now; takes no ticket."""
        if self._host.refuses():
            raise self._refuse(self._host, None)
        breaker = self._models.get(model)
        if breaker is not None and breaker.refuses():
            raise self._refuse(breaker, model)

    def enter(self, model: str) -> Passage:
        """Let an attempt through; ProviderUnavailableError if none may be made now."""
        host_ticket = self._host.enter()
        if host_ticket == REFUSED:
            raise self._refuse(self._host, None)
        breaker = self._models.get(model)
        if breaker is None:
            return Passage(model, host_ticket, None, NEW)
        model_ticket = breaker.enter()
        if model_ticket == REFUSED:
            self._host.note(host_ticket, self._clock(), has_failed=None)
            raise self._refuse(breaker, model)
        return Passage(model, host_ticket, breaker, model_ticket)

    def note_success(self, passage: Passage) -> None:
        """Note that the provider has begun to answer as it should."""
        if not passage.is_noted:
            self._note(passage, host=False, model=False)

    def note_failure(self, passage: Passage, error: UpstreamError) -> None:
        """Note that the attempt has failed, perhaps after it was noted as a success."""
        if not self._spec.enabled:
            return
        culprit = find_culprit(error, has_lagged=self._has_lagged())
        if passage.is_noted:
            if culprit is Culprit.MODEL:
                self._breaker_of(passage).note_late(passage.model_ticket, self._clock())
        elif culprit is Culprit.HOST:
            self._note(passage, host=True, model=None)
        else:
            # An error with a status is an answer, so the host is up.
            is_answer = isinstance(error, UpstreamAnswerError)
            is_models = culprit is Culprit.MODEL
            self._note(
                passage, host=False if is_answer else None, model=True if is_models else None
            )

    def leave(self, passage: Passage) -> None:
        """Note that the attempt is over or no longer watched; no effect after a verdict."""
        if not passage.is_noted:
            self._note(passage, host=None, model=None)

    def _note(self, passage: Passage, *, host: bool | None, model: bool | None) -> None:
        passage.is_noted = True
        now = self._clock()
        self._host.note(passage.host_ticket, now, has_failed=host)
        breaker = passage.breaker
        if breaker is None and model is not None:
            breaker = self._breaker_of(passage)
        if breaker is not None:
            breaker.note(passage.model_ticket, now, has_failed=model)

    def _breaker_of(self, passage: Passage) -> Breaker:
        """The breaker of the passage's model, created when the model first answers."""
        if passage.breaker is None:
            breaker = self._models.get(passage.model)
            if breaker is None:
                breaker = self._make_breaker(passage.model)
                self._make_room()
                self._models[passage.model] = breaker
            passage.breaker = breaker
        return passage.breaker

    def _make_room(self) -> None:
        if len(self._models) < MODELS_MAX:
            return
        # Forget a healthy model first: what we know about a failing one is worth more.
        well = (name for name, one in self._models.items() if one.state is BreakerState.CLOSED)
        del self._models[next(well, next(iter(self._models)))]

    def _make_breaker(self, model: str | None) -> Breaker:
        return Breaker(self._spec, partial(_report, self._provider.name, model), self._clock)

    def _refuse(self, breaker: Breaker, model: str | None) -> ProviderUnavailableError:
        label = self._provider.label
        what = label if model is None else f"This model of {label}"
        return ProviderUnavailableError(
            f"{what} has failed nearly every request lately; none is sent there just now. "
            "Try again shortly, or ask another provider.",
            detail=f"breaker {breaker.state}" + ("" if model is None else f", model {model}"),
            headers=come_back(breaker.wait_s),
        )


def _report(provider: str, model: str | None, change: Change) -> None:
    """Log one line for each change of state."""
    attempts, failures = change.attempts, change.failures
    if change.state is BreakerState.OPEN:
        _log.warning(
            "breaker.opened",
            provider=provider,
            model=model,
            attempts=attempts,
            failures=failures,
            for_s=round(change.lasts_s, 3),
        )
    elif change.state is BreakerState.HALF_OPEN:
        _log.info("breaker.half_opened", provider=provider, model=model)
    else:
        _log.info(
            "breaker.closed",
            provider=provider,
            model=model,
            attempts=attempts,
            failures=failures,
        )
