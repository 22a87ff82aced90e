"""Whether new requests are welcome.

The rule here: not ready is not ill. A gateway that drains is alive, and says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.telemetry.supervision import DOWN

READY = "ready"


class HasStates(Protocol):
    """Whoever knows how several workers fare, or one."""

    def states(self) -> Mapping[str, str]:
        """The word of each worker."""


@dataclass(slots=True)
class Readiness:
    """One flag, and the word that explains it."""

    is_ready: bool = False
    reason: str = "starting"

    def states(self) -> Mapping[str, str]:
        """The word of the only worker."""
        return {"0": self.reason}

    def set_ready(self) -> None:
        """Requests are welcome."""
        self.is_ready = True
        self.reason = READY

    def set_unready(self, reason: str) -> None:
        """Requests should go elsewhere."""
        self.is_ready = False
        self.reason = reason


def sum_up(states: Mapping[str, str]) -> str:
    """The word for several workers: one that is ready is enough, for callers reach that one."""
    words = [word for word in states.values() if word != DOWN]  # whoever is asked is there
    return READY if READY in words else next(iter(words), "starting")
