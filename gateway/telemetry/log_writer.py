"""The thread that writes the log.

The rule here: whoever has a line leaves it and goes on, in a microsecond, also when nobody reads
the log, when its disk is full, or when it is gone. What is too much is dropped and counted.
"""

import queue
import threading
from collections.abc import Callable

from typing_extensions import override

from gateway.core.clock import monotonic
from gateway.telemetry.line_file import FULL, LineFile
from gateway.telemetry.sinks import Sink

# After a write, lines are left to gather: waking a thread costs as much as building two lines.
GATHER_S = 0.05
MAX_BYTES = 8 * 1024 * 1024  # that wait
RETRY_S = 0.5  # a disk that is full is tried again


class LogWriter(Sink):
    """Takes lines from any thread, and writes them in one of its own.

    `when_back` is told, in that thread, how many lines were dropped and in how many seconds, once
    lines can be written again.
    """

    def __init__(
        self,
        file: LineFile,
        *,
        max_bytes: int = MAX_BYTES,
        name: str = "gateway-log",
    ) -> None:
        self.dropped = 0
        self.max_bytes = max_bytes
        self.when_back: Callable[[int, float], None] = lambda *_: None
        self._file = file
        # Reentrant: Python may collect garbage while it is held, and what is collected may log.
        self._lock = threading.RLock()
        # Under the lock:
        self._lines: list[bytes] = []
        self._held_bytes = 0  # those being written included
        self._is_awake = False
        self._waiting: list[threading.Event] = []  # for all that was put before them
        self._is_closing = False
        self._told = 0  # of those dropped
        self._dropping_since = 0.0
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @override
    def put(self, line: bytes) -> None:
        with self._lock:
            is_too_much = self._held_bytes + len(line) > self.max_bytes and not self._is_own()
            if is_too_much or self._is_closing:
                self._drop(1)
                return
            self._lines.append(line)
            self._held_bytes += len(line)
            if self._is_awake:
                return
            self._is_awake = True
        self._bell.put(None)

    @override
    def flush(self, timeout_s: float) -> bool:
        written = threading.Event()
        with self._lock:
            self._waiting.append(written)
            self._is_awake = True
        self._bell.put(None)
        return written.wait(timeout_s)

    @override
    def close(self, timeout_s: float) -> bool:
        end_at = monotonic() + timeout_s
        if not self._is_closing:
            self.flush(timeout_s)
            with self._lock:
                self._is_closing = True
            self._bell.put(None)
        # It may be in a write that never ends; as a daemon it holds up nobody.
        self._thread.join(max(0.0, end_at - monotonic()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._bell.get()
            has_more = True
            while has_more:
                is_last = self._is_closing  # nothing is put after that was set
                has_more = self._write_batch()
                if has_more:
                    self._pause(GATHER_S)
        self._file.close()

    def _write_batch(self) -> bool:
        """Write what is there; False when that was nothing."""
        with self._lock:
            lines, self._lines = self._lines, []
            waiting, self._waiting = self._waiting, []
            if not lines:
                self._is_awake = False
        if lines:
            self._file.put(lines)
            is_written = self._write()
            with self._lock:
                self._held_bytes -= sum(map(len, lines))
            if is_written and self.dropped != self._told:
                self._tell()
        for written in waiting:
            written.set()
        return bool(lines)

    def _write(self) -> bool:
        while True:
            try:
                self._file.write()
            except OSError as error:
                # Nobody reads it, or it is closed: there is nothing to wait for.
                if error.errno not in FULL or self._is_closing:
                    with self._lock:
                        self._drop(self._file.forget())
                    return False
                self._pause(RETRY_S)
            else:
                return True

    def _pause(self, pause_s: float) -> None:
        if self._is_closing:
            return
        try:
            self._bell.get(timeout=pause_s)
        except queue.Empty:
            return

    def _drop(self, count: int) -> None:
        if self.dropped == self._told:
            self._dropping_since = monotonic()
        self.dropped += count

    def _tell(self) -> None:
        with self._lock:
            count, since = self.dropped - self._told, self._dropping_since
            self._told = self.dropped
        self.when_back(count, round(monotonic() - since, 3))

    def _is_own(self) -> bool:
        """Whether this is the writing thread itself, which has to say what was dropped."""
        return threading.get_ident() == self._thread.ident
