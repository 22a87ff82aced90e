"""Several processes that answer on one port, and the one that looks after them.

The rule here: the supervisor answers nothing and holds no state, so there is nothing in it that
could fail. What one worker dies of is no other one's business.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Sequence

import msgspec
import structlog

from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.core.tasks import Tasks
from gateway.server.sockets import SPREADS, close_sockets, open_shared_sockets, url_of
from gateway.server.unix_sockets import SocketFile, open_unix_socket
from gateway.serving.one_process import REFUSALS, show_start
from gateway.serving.process_log import closing_log, open_log
from gateway.serving.reloading import Reloader, Source
from gateway.serving.sd_notify import Notifier
from gateway.serving.service import PATIENCE_S, SIGNALS
from gateway.serving.shared import Shared, open_shared
from gateway.serving.worker import HASTEN
from gateway.serving.worker_place import Death, Sockets, Start, WorkerPlace
from gateway.serving.worker_watchdog import WorkerWatchdog
from gateway.telemetry.crashes import report_crash
from gateway.telemetry.logging import GatewayLog
from gateway.telemetry.supervision import Supervision

_log = structlog.get_logger()


class WorkerError(Exception):
    """A worker could not start; empty where it has said why itself."""


def supervise(
    settings: Settings,
    registry: Registry,
    source: Source,
    notifier: Notifier,
    inherited: Sequence[socket.socket] = (),
) -> None:
    """Run the workers until told to stop; WorkerError or ListenError when that cannot begin."""
    log = open_log(settings, registry)
    with closing_log(log, (*REFUSALS, WorkerError)), asyncio.Runner() as runner:
        supervisor = Supervisor(settings, registry, source, log, notifier, inherited)
        runner.run(supervisor.run())


class Supervisor:
    """Starts workers, starts them again, and passes signals on."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        source: Source,
        log: GatewayLog,
        notifier: Notifier,
        inherited: Sequence[socket.socket] = (),
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._log = log
        self._notifier = notifier
        self._inherited = inherited
        # Handed over, or in the file system, there is one for all: nobody else may bind to it.
        is_shared = bool(inherited) or settings.server.unix_socket is not None
        self._has_own_sockets = SPREADS and not is_shared
        self._url = ""
        self._shared: Shared | None = None
        self._supervision: Supervision | None = None
        self._watchdog: WorkerWatchdog | None = None
        self._places = [WorkerPlace(index) for index in range(settings.server.workers)]
        # Held open here, so that callers who wait in the queue of one survive its worker.
        self._sockets: Sockets = {}
        self._failure: WorkerError | None = None
        self._opening = asyncio.Lock()
        self._tasks = Tasks(report_crash)
        self._reloader = Reloader(
            source,
            settings,
            self._apply,
            when_begun=notifier.tell_reloading,
            when_done=self._pass_on,
        )
        self._was_told = asyncio.Event()
        self._all_ended = asyncio.Event()
        self._socket_file: SocketFile | None = None

    async def run(self) -> None:
        """Start all workers, the first one alone: it makes what is made once, and says it once."""
        await self._open_port()
        self._url = url_of(self._sockets[0][0])
        server = self._settings.server
        if not self._inherited and server.unix_socket is None:
            placed = server.model_copy(update={"port": int(self._url.rpartition(":")[2])})
            self._settings = self._settings.model_copy(update={"server": placed})
        self._shared = await open_shared(self._settings)
        self._supervision = Supervision(self._shared.board, lambda: self._log.numbers)
        self._watchdog = WorkerWatchdog(
            self._places,
            self._shared.board,
            server,
            when_changed=self._share_out,
            when_looked=self._supervision.publish,
        )
        self._watchdog.start()
        self._hear_signals()
        try:
            for places in (self._places[:1], self._places[1:]):
                if not self._was_told.is_set():
                    for place in places:
                        self._start(place)
                    await self._wait_until_ready(places)
            if not self._was_told.is_set():
                admin_url = self._places[0].admin_url
                show_start(
                    self._settings, self._registry, self._log, url=self._url, admin_url=admin_url
                )
                self._notifier.tell_ready(self._describe())
                self._notifier.keep_beating(lambda: self._describe() if self._ready() else None)
                await self._was_told.wait()
        finally:
            await self._stop()

    async def _open_port(self) -> None:
        server = self._settings.server
        async with self._opening:
            if self._sockets:
                return
            if self._inherited:
                self._sockets = dict.fromkeys(range(server.workers), self._inherited)
            elif server.unix_socket is None:
                opened = await open_shared_sockets(server.host, server.port, server.workers)
                self._sockets = dict(enumerate(opened))
            else:
                listening, self._socket_file = open_unix_socket(
                    server.unix_socket, server.unix_socket_mode
                )
                self._sockets = dict.fromkeys(range(server.workers), (listening,))

    def _close_port(self) -> None:
        if self._socket_file is not None:
            self._socket_file.remove()
            self._socket_file = None
        for sockets in self._sockets.values():
            close_sockets(sockets)
        self._sockets = {}

    def _ready(self) -> int:
        """How many workers answer."""
        return sum(place.is_accepting for place in self._places)

    def _describe(self) -> str:
        if self._was_told.is_set():
            return f"Draining: {len(self._running())} of {len(self._places)} workers run."
        return f"{self._ready()} of {len(self._places)} workers answer on {self._url}."

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._take_signal)
        self._reloader.hear(self._tasks, self._tell_to_stop)

    def _apply(self, found: Settings) -> None:
        self._log.apply(found.logging)
        self._settings = self._settings.model_copy(update={"logging": found.logging})

    def _pass_on(self) -> None:
        """Have every worker read the file as well; those that are starting hear it later."""
        for place in () if self._was_told.is_set() else self._places:
            place.signal(signal.SIGHUP)
        self._notifier.tell_reloaded(self._describe())

    def _tell_to_stop(self) -> None:
        """What a terminal says that has gone, and it says so more than once."""
        if not self._was_told.is_set():
            self._take_signal()

    def _take_signal(self) -> None:
        """Pass it on; the second one hastens."""
        number = HASTEN if self._was_told.is_set() else signal.SIGTERM
        if not self._was_told.is_set():
            within_s = self._settings.server.drain_s + PATIENCE_S
            self._notifier.tell_stopping("Draining.", within_s=within_s)
        self._was_told.set()
        self._close_port()  # first: whoever comes from now on would wait for nobody
        for place in self._places:
            place.signal(number)

    def _running(self) -> list[WorkerPlace]:
        return [place for place in self._places if place.process is not None]

    async def _wait_until_ready(self, places: Sequence[WorkerPlace]) -> None:
        """Wait for who just starts; one that dies meanwhile may come later, unlike a failure."""
        await asyncio.gather(*(place.wait_until_ready() for place in places))
        if self._failure is not None and not self._was_told.is_set():
            raise self._failure

    def _start(self, place: WorkerPlace) -> None:
        if self._shared is None or self._supervision is None:
            raise RuntimeError("Nothing has been opened.")
        # Elsewhere all accept from one anyway.
        sockets = (
            self._sockets if self._has_own_sockets else {place.index: self._sockets[place.index]}
        )
        shared = msgspec.structs.replace(self._shared, source=self._reloader.hand_on())
        self._shared.board.await_beats(place.index)
        place.start(
            Start(self._settings, self._registry, sockets, shared),
            when_heard=self._share_out,
            when_dead=self._bury,
        )
        self._supervision.note_start(place.index)

    def _share_out(self) -> None:
        """Have those who accept do so for those who do not."""
        if self._was_told.is_set():
            return
        self._notifier.tell_status(self._describe())
        away = [place.index for place in self._places if not place.is_accepting]
        for place in self._places:
            if place.is_accepting:
                place.tell_away(away)

    def _bury(self, place: WorkerPlace) -> None:
        if self._supervision is None:
            raise RuntimeError("Nothing has been opened.")
        death = place.bury()
        if self._was_told.is_set():
            self._supervision.note_end(place.index)
            if not self._running():
                self._all_ended.set()
            return
        self._supervision.note_death(place.index)
        fails = self._fails_the_start(place, death)
        if fails and death.last_word is not None:
            self._failure = WorkerError()
            return
        _log.error(
            "worker.died",
            worker=place.index,
            exit_code=death.exit_code,
            lived_s=round(death.lived_s, 3),
        )
        if fails:
            self._failure = WorkerError(f"Worker {place.index} {death.way} while it started.")
            return
        self._share_out()
        self._tasks.spawn("restart_worker", self._restart(place))

    def _fails_the_start(self, place: WorkerPlace, death: Death) -> bool:
        """Whether nobody answers yet, or it cannot start for a reason that all of them share."""
        if not any(one.was_ever_ready for one in self._places):
            return True
        is_first = place.deaths == 1 and not place.was_ever_ready
        return is_first and death.last_word == "refused"

    async def _restart(self, place: WorkerPlace) -> None:
        while not self._was_told.is_set():
            if place.pause_s:
                if not self._running() and not self._inherited:
                    self._close_port()  # nobody takes those who would wait there
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._was_told.wait(), place.pause_s)
                    return
            try:
                await self._open_port()
                if self._was_told.is_set():
                    self._close_port()
                    return
                self._start(place)
            except OSError as error:  # ListenError is one: somebody took the port; or no memory
                place.failures += 2
                _log.error("worker.not_started", worker=place.index, reason=str(error))
            else:
                return

    async def _stop(self) -> None:
        """Let workers drain, and end those that do not."""
        await self._tasks.cancel()
        self._tell_to_stop()
        if self._running():
            patience_s = self._settings.server.drain_s + PATIENCE_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), patience_s)
        for place in self._running():
            if place.process is not None:
                _log.error("worker.killed", worker=place.index, pid=place.process.pid)
                place.process.kill()
                place.process.join()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._shared is not None:
            self._shared.close()
