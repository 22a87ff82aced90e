"""One credential of a pool, and what we know about it.

The rule here: only the pool changes it.
"""

from typing import Final

from gateway.core.credential import Credential, CredentialState

# How many models are remembered that a credential does not work with. Callers choose model names,
# so the number must be limited.
MAX_MODELS: Final = 100


class Slot:
    """A credential with its state and its load; times are seconds of the pool's clock."""

    __slots__ = (
        "changed_at",
        "credential",
        "failed_at",
        "in_flight",
        "last_error",
        "last_status",
        "last_used",
        "refused",
        "rests",
        "state",
        "tried_by",
        "until",
    )

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.state = CredentialState.OK
        self.in_flight = 0
        self.last_used = 0  # the number of the request that took it last
        self.until = 0.0  # when the state ends, or it may be tried again
        # Most providers' limits are per model, and a refusal may be too.
        self.rests: dict[str, float] = {}  # models that must wait, and until when
        self.refused: dict[str, None] = {}  # models with which it was refused or used up, in order
        self.tried_by: object | None = None  # the request that is trying whether it works again
        self.changed_at = 0.0
        self.last_error = ""
        self.last_status = 0
        self.failed_at = 0.0

    def give_back(self, who: object) -> None:
        """Give it back after a request; once for each time that it was taken."""
        self.in_flight -= 1
        if self.tried_by is who:
            self.tried_by = None

    def rest(self, model: str, until: float) -> None:
        """Rest for this model; a later answer never shortens an earlier wait."""
        if model not in self.rests and len(self.rests) >= MAX_MODELS:
            del self.rests[min(self.rests, key=self.rests.__getitem__)]
        self.rests[model] = max(until, self.rests.get(model, 0.0))

    def refuse(self, model: str) -> None:
        """Note that it does not work with this model, for an unknown time."""
        if model not in self.refused and len(self.refused) >= MAX_MODELS:
            del self.refused[next(iter(self.refused))]
        self.refused[model] = None

    def rests_until(self, model: str) -> float:
        """Until when it must wait with a model; 0 if not at all."""
        return self.rests.get(model, 0.0)

    def forget(self) -> None:
        """Forget everything held against any model."""
        self.rests.clear()
        self.refused.clear()
