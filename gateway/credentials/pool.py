"""The credentials of one provider: which one is used next.

The rule here: use the least loaded credential that works; among equals, the one unused for longest.
One that does not work is tried again by a single request at a time, and only by one that could
still switch to another. If none works, use one that was not yet tried with this model, so that one
limited, refused or paid model does not block the others. A provider's only credential is always
used, because refusing would help nobody.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.credential import Credential, CredentialStanding, CredentialState
from gateway.core.errors import UpstreamError
from gateway.credentials.slot import Slot
from gateway.credentials.verdict import Verdict, judge_failure

# How often each is tried while a provider accepts none of them. An outage of the provider's own key
# check looks like this, and ends without notice.
ALL_REFUSED_S = 30.0
# Event loop timers may fire this early.
EARLY_S = 0.005

NEVER = math.inf

_GRAVITY = {state: gravity for gravity, state in enumerate(CredentialState)}

Report = Callable[[Slot], None]
"""Told of every change of state, after it."""


class CredentialPool:
    """The credentials of one provider."""

    def __init__(
        self,
        credentials: Sequence[Credential],
        report: Report,
        clock: Clock = monotonic,
        wall: Clock = system_clock,
    ) -> None:
        self.slots = tuple(Slot(credential) for credential in credentials)
        self._lone = self.slots[0] if len(self.slots) == 1 else None
        self._report = report
        self._clock = clock
        self._wall = wall
        self._taken = 0
        self._troubled = 0  # how many slots are not ok

    def take(self, who: object, model: str, *, may_try: bool) -> Slot | None:
        """The credential for a request, counted until `give_back`; None if none is usable.

        `may_try` says that the request could take another one if this one still does not work.
        """
        slot = self._lone or self._choose(model, may_try=may_try)
        if slot is None:
            return None
        self._taken += 1
        slot.last_used = self._taken
        slot.in_flight += 1
        if slot.state is not CredentialState.OK and self._finds_out(slot, model):
            slot.tried_by = who
        return slot

    def note_success(self, slot: Slot, who: object) -> None:
        """The provider has answered; this counts only from the request that tried the slot."""
        # Other requests began before the slot was refused or told to wait, and prove nothing.
        if slot.state is not CredentialState.OK and slot.tried_by is who:
            self._recover(slot)

    def note_failure(self, slot: Slot, who: object, model: str, error: UpstreamError) -> bool:
        """Judge the credential by an error; False if the error says nothing about it."""
        verdict = judge_failure(error, now=self._wall())
        if verdict is None:
            return False
        self._lapse(slot, self._clock())
        slot.last_error, slot.last_status = error.code, error.status
        slot.failed_at = self._clock()
        was_tried = slot.tried_by is who
        if was_tried:
            slot.tried_by = None
        self._enter(slot, model, verdict, was_tried=was_tried)
        return True

    def is_refusal(self, error: UpstreamError) -> bool:
        """Whether an error says that the credential is refused or used up."""
        verdict = judge_failure(error, now=self._wall())
        return verdict is not None and verdict.state is not CredentialState.RESTING

    def restore(self, slot: Slot) -> bool:
        """Mark a credential as working because somebody says so; False if it already was."""
        if slot.state is CredentialState.OK:
            return False
        self._recover(slot)
        return True

    def wait_s(self, model: str) -> float:
        """Seconds until a credential may be used for this model: 0 for now, NEVER for unknown."""
        if self._troubled < len(self.slots):
            return 0.0
        now = self._clock()
        return min(self._wait_of(slot, model, now) for slot in self.slots)

    @property
    def is_lone(self) -> bool:
        """True if it is the only credential."""
        return self._lone is not None

    def bar_of(self, model: str) -> CredentialState:
        """Why none can be used for this model: the mildest reason among them."""
        return min((_bar_of(slot, model) for slot in self.slots), key=_GRAVITY.__getitem__)

    def standings(self, provider: str) -> Iterator[CredentialStanding]:
        """The state of each of them."""
        now = self._clock()
        to_wall = self._wall() - now
        for slot in self.slots:
            self._lapse(slot, now)
            is_ok = slot.state is CredentialState.OK
            yield CredentialStanding(
                provider,
                slot.credential.id,
                slot.state,
                slot.in_flight,
                since=slot.changed_at + to_wall if slot.changed_at else None,
                until=None if is_ok else slot.until + to_wall,
                last_error=slot.last_error,
                last_status=slot.last_status,
                last_error_at=slot.failed_at + to_wall if slot.last_error else None,
            )

    def _choose(self, model: str, *, may_try: bool) -> Slot | None:
        if not self._troubled:
            return min(self.slots, key=_load)
        now = self._clock()
        fresh, unasked, due = self._sort(model, now)
        if due and (may_try or not (fresh or unasked)):
            return min(due, key=_load)
        if fresh:
            return min(fresh, key=_load)
        if unasked:
            return min(unasked, key=_gravity_and_load)
        return self._find_refused(now)

    def _sort(self, model: str, now: float) -> tuple[list[Slot], list[Slot], list[Slot]]:
        """Those that work, those not yet tried with this model, and those due for another try."""
        fresh: list[Slot] = []
        unasked: list[Slot] = []
        due: list[Slot] = []
        for slot in self.slots:
            self._lapse(slot, now)
            has_trials = slot.state is not CredentialState.RESTING
            if slot.state is CredentialState.OK:
                fresh.append(slot)
            elif has_trials and slot.tried_by is None and slot.until <= now + EARLY_S:
                due.append(slot)
            elif self._wait_of(slot, model, now) <= EARLY_S:
                unasked.append(slot)
        return fresh, unasked, due

    def _finds_out(self, slot: Slot, model: str) -> bool:
        """Whether a success would show that it works again; not with a model that always worked."""
        if slot.state is CredentialState.RESTING or slot.tried_by is not None:
            return False
        return model in slot.refused or slot.until <= self._clock() + EARLY_S

    def _find_refused(self, now: float) -> Slot | None:
        """One to try before its time, if the provider accepts none at all."""
        if any(slot.state is not CredentialState.SET_ASIDE for slot in self.slots):
            return None
        oldest = min(self.slots, key=attrgetter("failed_at"))
        is_due = oldest.tried_by is None and oldest.failed_at + ALL_REFUSED_S <= now + EARLY_S
        return oldest if is_due else None

    def _wait_of(self, slot: Slot, model: str, now: float) -> float:
        rest_s = max(slot.rests_until(model) - now, 0.0)
        bar = _bar_of(slot, model)
        if bar is CredentialState.RESTING:
            return rest_s
        is_due = slot.until <= now and slot.tried_by is None
        if bar is CredentialState.SET_ASIDE and not is_due:
            return NEVER
        # The request that is trying it will know in a moment.
        return max(slot.until - now, rest_s, 0.0 if slot.tried_by is None else 1.0)

    def _enter(self, slot: Slot, model: str, verdict: Verdict, *, was_tried: bool) -> None:
        now = self._clock()
        until = now + verdict.lasts_s
        if verdict.state is not CredentialState.RESTING:
            slot.refuse(model)
        elif verdict.lasts_s:  # zero means no rest
            slot.rest(model, until)
        else:
            return
        # A request from before the refusal may still be told to wait, which is no news.
        if not was_tried and _GRAVITY[verdict.state] < _GRAVITY[slot.state]:
            return
        if verdict.state is CredentialState.RESTING:
            slot.refused.clear()
            slot.until = max(slot.rests.values())
        elif was_tried or slot.state is not verdict.state:
            slot.until = until
        self._change(slot, verdict.state, now)

    def _lapse(self, slot: Slot, now: float) -> None:
        """End a rest whose time is over; other states end when a request is answered."""
        if slot.state is CredentialState.RESTING and slot.until <= now + EARLY_S:
            self._recover(slot)

    def _recover(self, slot: Slot) -> None:
        slot.tried_by = None
        slot.forget()
        self._change(slot, CredentialState.OK, self._clock())

    def _change(self, slot: Slot, state: CredentialState, now: float) -> None:
        if slot.state is state:
            return
        self._troubled += (slot.state is CredentialState.OK) - (state is CredentialState.OK)
        slot.state = state
        slot.changed_at = now
        self._report(slot)


def _bar_of(slot: Slot, model: str) -> CredentialState:
    """The reason not to use a credential that is not ok for this model."""
    return slot.state if model in slot.refused else CredentialState.RESTING


def _gravity_and_load(slot: Slot) -> tuple[int, int, int]:
    return _GRAVITY[slot.state], slot.in_flight, slot.last_used


def _load(slot: Slot) -> tuple[int, int]:
    """The sort key: requests in flight, then which was used longest ago."""
    return slot.in_flight, slot.last_used
