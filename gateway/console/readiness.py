"""Whether new requests are welcome.

The rule here: not ready is not ill. A gateway that drains is alive, and says so.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Readiness:
    """One flag, and the word that explains it."""

    is_ready: bool = False
    reason: str = "starting"

    def set_ready(self) -> None:
        """Requests are welcome."""
        self.is_ready = True
        self.reason = "ready"

    def set_unready(self, reason: str) -> None:
        """Requests should go elsewhere."""
        self.is_ready = False
        self.reason = reason
