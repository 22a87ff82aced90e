"""Which configuration holds.

The rule here: whoever takes a new one over, or refuses it, writes that down here.
"""

import msgspec


class ConfigStanding(msgspec.Struct):
    """How often the configuration was taken over, and whether the last one was refused."""

    generation: int = 1  # 1: the one of the start
    has_failed: bool = False

    def note_taken(self) -> None:
        """A new configuration holds."""
        self.generation += 1
        self.has_failed = False

    def note_refused(self) -> None:
        """A new one had mistakes; the one before it holds."""
        self.has_failed = True
