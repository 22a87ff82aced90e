"""A log in memory: what a process would write, for tests to look at.

The rule here: lines go the way of the real log; only what takes them is another.
"""

from collections.abc import Sequence
from typing import TextIO

from typing_extensions import override

from gateway.config.logging import LoggingSpec
from gateway.core.clock import Clock, system_clock
from gateway.telemetry.logging import GatewayLog
from gateway.telemetry.sinks import Sink


class StreamSink(Sink):
    """A stream that has each line at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.dropped = 0
        self.max_bytes = 0  # nothing waits

    @override
    def put(self, line: bytes) -> None:
        self._stream.write(line.decode())

    @override
    def flush(self, timeout_s: float) -> bool:
        return True

    @override
    def close(self, timeout_s: float) -> bool:
        return True


def configure_logging(
    settings: LoggingSpec,
    *,
    stream: TextIO,
    secrets: Sequence[str] = (),
    clock: Clock = system_clock,
) -> GatewayLog:
    """Send every line to a stream, those of libraries too; `secrets` never appear in one."""
    log = GatewayLog(StreamSink(stream), secrets, clock, is_terminal=stream.isatty())
    log.apply(settings)
    return log
