"""How late the event loop is, and what holds it up.

The rule here: it beats by itself and asks nobody. A loop that stands still cannot say so, therefore
a thread looks at the beat.
"""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable

import structlog
from typing_extensions import override

from gateway.core.clock import Clock, monotonic
from gateway.telemetry.definitions import LOOP_LAG
from gateway.telemetry.series import Distribution

BEAT_S = 0.5
LAGGED_S = 0.25  # above it there is a line in the log
BLOCKED_S = 1.0  # above it somebody looks what the loop is doing
LINE_EVERY_S = 10.0  # at most; a machine that is too small would fill its log
WINDOW_S = 30.0  # of the largest lag; shown is that of two
MAX_FRAMES = 12

_log = structlog.get_logger()


class LoopWatch:
    """Measures how late its own timer is, twice a second."""

    def __init__(
        self, clock: Clock = monotonic, *, beat_s: float = BEAT_S, blocked_s: float = BLOCKED_S
    ) -> None:
        self.lag = Distribution(LOOP_LAG.bounds)
        self.beat_at = 0.0  # of the last one; 0: it has not begun, or is over
        self.at_each_beat: list[Callable[[], None]] = []
        self._clock = clock
        self._beat_s = beat_s
        self._blocked_s = blocked_s
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watchdog: _Watchdog | None = None
        self._window_at = 0.0
        self._maxima = (0.0, 0.0)  # of the last window and of this one
        self._silent_until = 0.0
        self._lagged = 0  # since the last line

    @property
    def max_lag_s(self) -> float:
        """The largest lag of the last half minute at least, and of a minute at most."""
        return max(self._maxima)

    def start(self) -> None:
        """Begin to beat, in the loop that runs."""
        self._window_at = self.beat_at = self._clock()
        self._arm()
        self._watchdog = _Watchdog(self, self._beat_s, self._blocked_s)
        self._watchdog.start()

    def stop(self) -> None:
        """End, and wait for the thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        self.beat_at = 0.0

    def note_lag(self, lag_s: float, now: float) -> None:
        """Count one measurement; a line says so when it is long."""
        self.lag.add(lag_s)
        if now - self._window_at >= WINDOW_S:
            self._window_at = now
            self._maxima = (self._maxima[1], 0.0)
        self._maxima = (self._maxima[0], max(self._maxima[1], lag_s))
        if lag_s <= LAGGED_S:
            return
        self._lagged += 1
        if now >= self._silent_until:
            _log.warning("loop.lagged", lag_s=round(lag_s, 3), times=self._lagged)
            self._silent_until, self._lagged = now + LINE_EVERY_S, 0

    def _arm(self) -> None:
        self._due_at = self._clock() + self._beat_s
        self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)

    def _beat(self) -> None:
        now = self._clock()
        self.note_lag(max(0.0, now - self._due_at), now)
        self.beat_at = now
        self._arm()
        loop = asyncio.get_running_loop()
        for act in self.at_each_beat:  # each by itself: one that fails keeps no other from its turn
            loop.call_soon(act)


class _Watchdog(threading.Thread):
    """Says where the loop is when it does not come round."""

    def __init__(self, watch: LoopWatch, beat_s: float, blocked_s: float) -> None:
        super().__init__(name="loop-watchdog", daemon=True)
        self._watch = watch
        self._thread = threading.get_ident()  # of the loop
        self._beat_s = beat_s
        self._blocked_s = blocked_s
        self._is_over = threading.Event()

    def stop(self) -> None:
        """End, and wait for that."""
        self._is_over.set()
        self.join()

    @override
    def run(self) -> None:
        looked_at, told_of = monotonic(), 0.0
        while not self._is_over.wait(self._beat_s):
            before, looked_at = looked_at, monotonic()
            beat_at = self._watch.beat_at
            late_s = looked_at - beat_at - self._beat_s
            # If this thread is late too, the whole process stood still: nobody held the loop up.
            is_punctual = looked_at - before < self._beat_s + self._blocked_s / 2
            if late_s > self._blocked_s and beat_at != told_of and is_punctual:
                told_of = beat_at
                _log.error("loop.blocked", for_s=round(late_s, 3), stack=self._read_stack())

    def _read_stack(self) -> list[str]:
        """Where the loop's thread is, the innermost call last: lines of code, no values."""
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - documented, for debuggers
        frames = traceback.extract_stack(frame)[-MAX_FRAMES:]
        return [f"{one.filename}:{one.lineno} {one.name}" for one in frames]
