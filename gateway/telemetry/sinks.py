"""Where lines of the log go.

The rule here: taking a line never fails, and never waits.
"""

from typing import Protocol, TextIO

from typing_extensions import override


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


class StreamSink(Sink):
    """A stream of this process's own, such as one in memory: written at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.dropped = 0
        self.max_bytes = 0  # nothing waits

    @override
    def put(self, line: bytes) -> None:
        try:
            self._stream.write(line.decode())
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += 1

    @override
    def flush(self, timeout_s: float) -> bool:
        return True

    @override
    def close(self, timeout_s: float) -> bool:
        """Leave it open: it is somebody else's."""
        return True
