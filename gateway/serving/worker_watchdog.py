"""Noticing a worker that is there and does nothing: its event loop does not come round.

The rule here: only time counts in which the supervisor was awake itself. When everything stands
still (a machine that is suspended, a container that is frozen) nobody is late on his own.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from gateway.config.settings import ServerSpec
from gateway.core.clock import Clock, monotonic
from gateway.serving.service import PATIENCE_S
from gateway.serving.worker_place import WorkerPlace
from gateway.telemetry.board import Board

LOOK_S = 0.5
AWAKE_S = 2 * LOOK_S  # a look that comes later was held up itself

_log = structlog.get_logger()


class WorkerWatchdog:
    """Looks at all places twice a second, and ends whoever hangs there.

    A process that is starting is left alone: nobody waits for it. One that stops may take longer,
    for what comes after its loop has ended. `when_changed` is called when somebody fell silent, or
    is back, and `when_looked` each time.
    """

    def __init__(
        self,
        places: Sequence[WorkerPlace],
        board: Board,
        server: ServerSpec,
        when_changed: Callable[[], None],
        clock: Clock = monotonic,
        when_looked: Callable[[], None] = lambda: None,
    ) -> None:
        self._places = places
        self._board = board
        self._when_changed = when_changed
        self._when_looked = when_looked
        self._timeout_s = server.worker_timeout_s  # 0: none
        self._stop_s = server.drain_s + PATIENCE_S
        self._clock = clock
        self._looked_at = clock()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._looked_at = self._clock()
        self._arm()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Look at everybody once."""
        now = self._clock()
        passed_s = min(now - self._looked_at, AWAKE_S)
        self._looked_at = now
        accepted = [place.is_accepting for place in self._places]
        for place in self._places:
            place.pulse.feel(self._board.count_beats(place.index), passed_s)
            self._judge(place)
        if accepted != [place.is_accepting for place in self._places]:
            self._when_changed()
        self._when_looked()

    def _judge(self, place: WorkerPlace) -> None:
        process, pulse = place.process, place.pulse
        if process is None or place.was_killed:
            return
        most_s = self._timeout_s + (0.0 if pulse.stopping_s is None else PATIENCE_S)
        if self._timeout_s and pulse.silent_s >= most_s:
            silent_s = round(pulse.silent_s, 1)
            _log.error("worker.hung", worker=place.index, pid=process.pid, for_s=silent_s)
            place.kill()
        elif pulse.stopping_s is not None and pulse.stopping_s >= self._stop_s:
            _log.error("worker.killed", worker=place.index, pid=process.pid)
            place.kill()

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._beat)

    def _beat(self) -> None:
        self._arm()  # first: it goes on whatever becomes of this one
        self.look()
