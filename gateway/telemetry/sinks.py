"""Where lines of the log go.

The rule here: taking a line never fails, and never waits.
"""

from typing import Protocol


class Sink(Protocol):
    """Takes lines, each with its line break; may be called from any thread."""

    dropped: int
    """How many lines were not written, and will not be."""

    max_bytes: int
    """How much may wait; may be changed at any time."""

    def put(self, line: bytes) -> None:
        """Have one line written, in its turn."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is written that was put before; False when that took too long."""

    def close(self, timeout_s: float) -> bool:
        """Write what waits, for at most so long, and let go; False while lines still wait.

        May be called again.
        """
