"""The numbers of all workers, whichever of them is asked.

The rule here: whoever shows numbers has written them down first, so that no later answer of another
worker shows fewer. What a worker that is killed counted since its last beat, half a second at most,
is lost.
"""

from collections.abc import Callable, Iterable

import msgspec
import structlog

from gateway.core.breaker import BreakerStanding
from gateway.core.clock import Clock, monotonic
from gateway.core.credential import CredentialStanding
from gateway.telemetry.board import Board
from gateway.telemetry.definitions import (
    WORKER_DEATHS,
    WORKER_SILENCE,
    WORKER_STARTS,
    WORKERS,
)
from gateway.telemetry.exposition import render_numbers
from gateway.telemetry.loop_watch import BEAT_S
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.numbers import (
    Numbers,
    add_up,
    continue_from,
    is_known,
    lone,
    numbers_of,
    remain,
)
from gateway.telemetry.standings import merge_breakers, merge_credentials
from gateway.telemetry.supervision import Account, read_account

_log = structlog.get_logger()


class Report(msgspec.Struct, array_like=True):
    """What one worker says of itself."""

    worker: int
    state: str  # the word of its readiness
    # When its loop last came round, on the clock that all processes share; 0 while nobody looks: it
    # starts, or is stopped.
    beat_at: float
    numbers: list[Numbers]
    credentials: list[CredentialStanding]
    breakers: list[BreakerStanding]

    @property
    def key(self) -> str:
        """How it is named in labels."""
        return str(self.worker)


ALONE = Account([lone(WORKER_STARTS, 1), lone(WORKER_DEATHS, 0)])
UNKNOWN = Account()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Report).decode


class Reporter:
    """Writes down what this worker counts, and reads what the others have written."""

    def __init__(
        self,
        metrics: Metrics,
        read_state: Callable[[], str],
        worker: int = 0,
        clock: Clock = monotonic,
    ) -> None:
        self._metrics = metrics
        self._read_state = read_state
        self._worker = worker
        self._clock = clock
        self._board: Board | None = None
        self._is_shared = True  # the last report was
        self._before: list[Numbers] = []  # of those that were in this place and died

    def join(self, board: Board) -> None:
        """Be one of several from now on, and count on from where the last in this place stopped."""
        before = _read(board, self._worker)
        self._before = [] if before is None else remain(before.numbers)
        self._metrics.remember(self._before)
        self._board = board
        self.publish()

    def publish(self) -> None:
        """Write down what there is to say now; for every beat, and when the state changes."""
        if self._board is not None:
            self._write(self._board, self._make_report())

    def render(self) -> bytes:
        """The numbers of all workers, as Prometheus reads them."""
        here, gone = self._read_all()
        now = self._clock()
        parts = {report.key: [*report.numbers, _silence(report, now)] for report in here}
        parts |= {report.key: remain(report.numbers) for report in gone}
        parts["supervisor"] = self._read_account().numbers_beside(_states_of(here))
        return render_numbers(add_up(parts))

    def states(self) -> dict[str, str]:
        """The word of each worker; of one that is not there, that of the supervisor."""
        return self._read_account().states_beside(_states_of(self._read_standings()))

    def list_credentials(self) -> list[CredentialStanding]:
        """How the credentials stand in the workers that are there."""
        return merge_credentials({one.key: one.credentials for one in self._read_standings()})

    def list_breakers(self) -> list[BreakerStanding]:
        """How the breakers stand in the workers that are there."""
        return merge_breakers(one.breakers for one in self._read_standings())

    def _make_report(self) -> Report:
        own = [*self._metrics.read(), numbers_of(WORKERS, [((self._read_state(),), 1)])]
        numbers = continue_from(self._before, own) if self._before else own
        return self._describe(numbers)

    def _describe(self, numbers: list[Numbers]) -> Report:
        metrics = self._metrics
        credentials, breakers = list(metrics.list_credentials()), list(metrics.list_breakers())
        state = self._read_state()
        return Report(self._worker, state, metrics.loop.beat_at, numbers, credentials, breakers)

    def _write(self, board: Board, report: Report) -> None:
        is_shared = board.write(self._worker, _encode(report))
        if self._is_shared and not is_shared:
            _log.error("metrics.not_shared", worker=self._worker)
        self._is_shared = is_shared

    def _read_account(self) -> Account:
        if self._board is None:  # nobody looks after the only one
            return ALONE
        return read_account(self._board) or UNKNOWN

    def _read_standings(self) -> list[Report]:
        """Those that are there, for whoever does not show numbers: the only one counts none."""
        return [self._describe([])] if self._board is None else self._read_all()[0]

    def _read_all(self) -> tuple[list[Report], list[Report]]:
        """The reports of those that are there, and of those that are not."""
        own, board = self._make_report(), self._board
        if board is None:
            return [own], []
        self._write(board, own)
        here: list[Report] = []
        gone: list[Report] = []
        for place in range(board.places):
            report = own if place == self._worker else _read(board, place)
            if report is not None:
                (gone if place != self._worker and board.is_gone(place) else here).append(report)
        return here, gone


def _read(board: Board, place: int) -> Report | None:
    """What a worker wrote; None for nothing, or where it is of a release that writes otherwise."""
    raw = board.read(place)
    if raw is None:
        return None
    try:
        report = _decode(raw)
    except msgspec.DecodeError:
        return None
    report.numbers = [one for one in report.numbers if is_known(one)]
    return report


def _states_of(reports: Iterable[Report]) -> dict[str, str]:
    return {report.key: report.state for report in reports}


def _silence(report: Report, now: float) -> Numbers:
    """How long a worker has not beaten, beyond the time between two beats."""
    silent_s = now - report.beat_at - BEAT_S if report.beat_at else 0.0
    return lone(WORKER_SILENCE, max(0.0, silent_s))
