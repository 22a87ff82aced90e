"""Who hangs is noticed, and who is only late with everybody else is not; the clock is a test's."""

import multiprocessing
import signal
import time
from collections.abc import Iterator

import pytest

from gateway.config.settings import ServerSpec
from gateway.serving.service import PATIENCE_S
from gateway.serving.worker_place import SILENT_S, WorkerPlace
from gateway.serving.worker_watchdog import LOOK_S, WorkerWatchdog
from gateway.telemetry.board import Board
from tests.plugins.chain import LogLines

HOUR_S = 3600.0


class Desk:
    """A place with a real process in it, whose signs of life a test gives."""

    def __init__(self, timeout_s: float = 10.0) -> None:
        self.now = 1_000.0
        self.board = Board(1)
        self.changes = 0
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
        process.start()
        self.process = process
        self.place = WorkerPlace(0, process=process, is_ready=True)
        server = ServerSpec(worker_timeout_s=timeout_s, drain_s=30)
        self.watchdog = WorkerWatchdog(
            [self.place], self.board, server, self._note, lambda: self.now
        )
        self._beats = 0
        self.board.await_beats(0)

    def beat(self) -> None:
        """The loop has come round."""
        self._beats += 1
        self.board.beat(0, self._beats)

    def look_for(self, seconds: float, every_s: float = LOOK_S) -> None:
        """So many seconds of looking."""
        for _ in range(round(seconds / every_s)):
            self.now += every_s
            self.watchdog.look()

    @property
    def is_alive(self) -> bool:
        """Whether nobody has killed it."""
        self.process.join(10 if self.place.was_killed else 0)
        return self.process.exitcode is None

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.board.close()

    def _note(self) -> None:
        self.changes += 1


@pytest.fixture
def desk() -> Iterator[Desk]:
    """One whose worker may be silent for ten seconds."""
    made = Desk()
    yield made
    made.close()


@pytest.fixture
def patient_desk() -> Iterator[Desk]:
    """One whose worker may be silent for ever."""
    made = Desk(timeout_s=0)
    yield made
    made.close()


def test_who_hangs_is_killed_and_said_once(desk: Desk, log_lines: LogLines) -> None:
    """K08: its callers wait for ever otherwise, and nobody is told."""
    desk.beat()
    desk.look_for(9.5)
    assert desk.is_alive

    desk.look_for(1.0)

    assert not desk.is_alive
    assert desk.process.exitcode == -signal.SIGKILL
    desk.look_for(60.0)  # a kill may take a while: a disk that does not answer
    (line,) = log_lines.find("worker.hung")
    assert (line["worker"], line["pid"], line["level"]) == (0, desk.process.pid, "error")
    assert 10 <= line["for_s"] <= 10.5
    assert log_lines.find("worker.killed") == []


def test_each_sign_of_life_counts(desk: Desk) -> None:
    """Late is not dead."""
    for _ in range(5):
        desk.beat()
        desk.look_for(9.5)

    assert desk.is_alive


def test_who_is_silent_is_stood_in_for_until_it_is_back(desk: Desk) -> None:
    """K08: those who wait in its queue need not wait for the kill."""
    desk.beat()
    desk.look_for(SILENT_S - LOOK_S)
    assert (desk.place.is_accepting, desk.changes) == (True, 0)

    desk.look_for(2 * LOOK_S)
    assert (desk.place.is_accepting, desk.changes) == (False, 1)

    desk.beat()
    desk.look_for(LOOK_S)
    assert (desk.place.is_accepting, desk.changes) == (True, 2)


def test_who_is_starting_is_left_alone(desk: Desk) -> None:
    """A start may wait for a database, or bring in a journal."""
    desk.look_for(HOUR_S)

    assert desk.is_alive


def test_when_everything_stood_still_nobody_is_killed(desk: Desk) -> None:
    """M08: a machine that was suspended for hours wakes up; whoever looks may be the first."""
    desk.beat()
    desk.look_for(3 * HOUR_S, every_s=HOUR_S)
    assert desk.is_alive

    desk.beat()
    desk.look_for(LOOK_S)
    assert (desk.is_alive, desk.place.is_accepting) == (True, True)


def test_without_a_timeout_nobody_is_killed(patient_desk: Desk) -> None:
    """Somebody looks into it with a debugger; callers are answered by the others all the same."""
    patient_desk.beat()
    patient_desk.look_for(HOUR_S)

    assert patient_desk.is_alive
    assert not patient_desk.place.is_accepting


def test_who_stops_may_be_silent_for_longer(desk: Desk, log_lines: LogLines) -> None:
    """Its loop has ended, and the last lines and rows are being written."""
    desk.beat()
    desk.place.pulse.stopping_s = 0.0
    desk.look_for(10.0 + PATIENCE_S - 1)
    assert desk.is_alive

    desk.look_for(2.0)

    assert not desk.is_alive
    assert len(log_lines.find("worker.hung")) == 1


def test_who_does_not_stop_in_its_time_is_killed(desk: Desk, log_lines: LogLines) -> None:
    """It beats, and waits for something that does not come; nobody would take its place."""
    desk.place.pulse.stopping_s = 0.0
    for _ in range(int(30 + PATIENCE_S)):
        desk.beat()
        desk.look_for(1.0)
    desk.beat()
    desk.look_for(1.0)

    assert not desk.is_alive
    (line,) = log_lines.find("worker.killed")
    assert (line["worker"], line["pid"]) == (0, desk.process.pid)


async def test_it_looks_by_itself_until_it_is_stopped(desk: Desk) -> None:
    """Real timers: nobody has to ask."""
    desk.beat()
    desk.watchdog.start()
    desk.now += HOUR_S
    desk.watchdog._beat()  # noqa: SLF001 - what its timer does

    assert desk.place.pulse.beats == 1
    desk.watchdog.stop()
    desk.watchdog.stop()
