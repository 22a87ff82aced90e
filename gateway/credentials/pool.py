"""The credentials of one provider: which is shown next, and which are not.

The rule here: the least loaded that works; of those, the one that was not used for the longest
time. One that does not work is tried again by a single request, and only by one that can still
take another. Where none works, one that nobody has asked for this model is taken: a model that is
limited, refused or paid for must not take the others with it. And where there is one credential
only, it is always taken: a refusal of ours would help nobody.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.credential import Credential, CredentialStanding, CredentialState
from gateway.core.errors import UpstreamError
from gateway.credentials.slot import Slot
from gateway.credentials.verdict import Verdict, judge_failure

# While a provider accepts none of them: how often each is tried. An outage of a provider's own
# key check looks like this, and ends without anybody telling us.
ALL_REFUSED_S = 30.0
# Timers of the event loop may be this early.
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
        self._troubled = 0  # slots that are not ok

    def take(self, who: object, model: str, *, may_try: bool) -> Slot | None:
        """The credential for a request, counted until `give_back`; None when none is usable.

        `may_try`: the request could take another one should this one still not work.
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
        """The provider has answered; that counts from whoever tried it out."""
        # Others began before it was refused or told to wait, and prove nothing.
        if slot.state is not CredentialState.OK and slot.tried_by is who:
            self._recover(slot)

    def note_failure(self, slot: Slot, who: object, model: str, error: UpstreamError) -> bool:
        """Judge the credential by an error; False when that says nothing of it."""
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
        """Take a credential for well, because somebody says so; False where it was already."""
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
        """True where there is no other one to take."""
        return self._lone is not None

    def bar_of(self, model: str) -> CredentialState:
        """What keeps all of them from being shown for this model: the least that keeps one."""
        return min((_bar_of(slot, model) for slot in self.slots), key=_GRAVITY.__getitem__)

    def standings(self, provider: str) -> Iterator[CredentialStanding]:
        """How each of them stands."""
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
        """Those that work, those that nobody has asked for this model, those to be tried again."""
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
        """Whether a success would show that it works: not with a model that it always did."""
        if slot.state is CredentialState.RESTING or slot.tried_by is not None:
            return False
        return model in slot.refused or slot.until <= self._clock() + EARLY_S

    def _find_refused(self, now: float) -> Slot | None:
        """One to try although its time has not come: when the provider accepts none at all."""
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
        # Whoever tries it will have found out in a moment.
        return max(slot.until - now, rest_s, 0.0 if slot.tried_by is None else 1.0)

    def _enter(self, slot: Slot, model: str, verdict: Verdict, *, was_tried: bool) -> None:
        now = self._clock()
        until = now + verdict.lasts_s
        if verdict.state is not CredentialState.RESTING:
            slot.refuse(model)
        elif verdict.lasts_s:  # "at once" is no rest
            slot.rest(model, until)
        else:
            return
        # Whoever asked before it was refused may still be told to wait: that is no news.
        if not was_tried and _GRAVITY[verdict.state] < _GRAVITY[slot.state]:
            return
        if verdict.state is CredentialState.RESTING:
            slot.refused.clear()
            slot.until = max(slot.rests.values())
        elif was_tried or slot.state is not verdict.state:
            slot.until = until
        self._change(slot, verdict.state, now)

    def _lapse(self, slot: Slot, now: float) -> None:
        """A rest that is over is over; other states end when a request has been answered."""
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
    """What keeps a credential that is not ok from being shown for this model, if anything."""
    return slot.state if model in slot.refused else CredentialState.RESTING


def _gravity_and_load(slot: Slot) -> tuple[int, int, int]:
    return _GRAVITY[slot.state], slot.in_flight, slot.last_used


def _load(slot: Slot) -> tuple[int, int]:
    """What is compared: requests in flight, then who has waited longest for one."""
    return slot.in_flight, slot.last_used
