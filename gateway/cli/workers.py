"""Several processes that answer on one port, and the one that looks after them.

The rule here: the supervisor answers nothing and holds no state, so there is nothing in it that
could fail. What one worker dies of is no other one's business.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import msgspec
import structlog

from gateway.cli.one_process import show_start
from gateway.cli.process_log import LAST_LINES_S, open_log
from gateway.cli.reloading import Reloader, Source
from gateway.cli.service import LAST_WORDS_S, SIGNALS
from gateway.cli.shared import Shared, open_shared
from gateway.cli.worker import HASTEN, News, run_worker
from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.core.tasks import Tasks
from gateway.plugins.keys import Worker
from gateway.server.sockets import (
    SPREADS,
    close_sockets,
    open_shared_sockets,
    open_sockets,
    url_of,
)
from gateway.telemetry.logging import GatewayLog

# A worker that lived for so long is replaced at once; one that did not waits, longer each time.
PROVEN_S = 10.0
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 30.0
# Beyond its time to drain, before it is ended without being asked: for last words, and for rows of
# the ledger that a slow database has to take.
PATIENCE_S = 2 * LAST_WORDS_S + 20.0

_log = structlog.get_logger()


class WorkerError(Exception):
    """A worker could not start, and has said why."""


class _Place(msgspec.Struct, eq=False):
    """One worker, and those that came before and come after it."""

    index: int
    sockets: Sequence[socket.socket]
    process: SpawnProcess | None = None
    news: Connection | None = None
    is_ready: asyncio.Future[bool] | None = None
    started_at: float = 0.0
    failures: int = 0
    was_ever_ready: bool = False
    admin_url: str | None = None


def supervise(settings: Settings, registry: Registry, source: Source) -> None:
    """Run the workers until told to stop; WorkerError or ListenError when that cannot begin."""
    log = open_log(settings, registry)
    try:
        with asyncio.Runner() as runner:
            runner.run(Supervisor(settings, registry, source, log).run())
    finally:
        log.close(LAST_LINES_S)


class Supervisor:
    """Starts workers, starts them again, and passes signals on."""

    def __init__(
        self, settings: Settings, registry: Registry, source: Source, log: GatewayLog
    ) -> None:
        self._settings = settings
        self._source = source
        self._registry = registry
        self._log = log
        self._places: list[_Place] = []
        self._shared: Shared | None = None
        self._tasks = Tasks(self._crashed)
        self._reloader = Reloader(source, settings, self._apply, when_done=self._pass_on)
        self._was_told = asyncio.Event()
        self._all_ended = asyncio.Event()

    async def run(self) -> None:
        """Start all workers, the first one alone: it makes what is made once, and says it once."""
        server = self._settings.server
        sockets = await open_shared_sockets(server.host, server.port, server.workers)
        url = url_of(sockets[0][0])
        self._settings = self._settings.model_copy(
            update={"server": server.model_copy(update={"port": int(url.rpartition(":")[2])})}
        )
        self._places = [_Place(index, own) for index, own in enumerate(sockets)]
        self._shared = await open_shared(self._settings)
        self._hear_signals()
        try:
            for places in (self._places[:1], self._places[1:]):
                if not self._was_told.is_set():
                    for place in places:
                        self._start(place)
                    await self._wait_until_ready(places)
            if not self._was_told.is_set():
                admin_url = self._places[0].admin_url
                show_start(self._settings, self._registry, self._log, url=url, admin_url=admin_url)
                await self._was_told.wait()
        finally:
            await self._stop()

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._take_signal)
        self._reloader.hear(self._tasks, self._take_signal)

    def _apply(self, found: Settings) -> None:
        self._log.apply(found.logging)
        self._settings = self._settings.model_copy(update={"logging": found.logging})

    def _pass_on(self) -> None:
        """Have every worker read the file as well; those that are starting hear it later."""
        for process in self._running():
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)

    def _take_signal(self) -> None:
        """Pass it on; the second one hastens."""
        number = HASTEN if self._was_told.is_set() else signal.SIGTERM
        self._was_told.set()
        # First: whoever comes from now on would wait for nobody.
        for place in self._places:
            close_sockets(place.sockets)
        for process in self._running():
            if process.pid is not None:
                os.kill(process.pid, number)

    def _running(self) -> list[SpawnProcess]:
        return [place.process for place in self._places if place.process is not None]

    async def _wait_until_ready(self, places: Sequence[_Place]) -> None:
        answers = [place.is_ready for place in places if place.is_ready is not None]
        if not all(await asyncio.gather(*answers)) and not self._was_told.is_set():
            raise WorkerError

    def _start(self, place: _Place, *, is_restarted: bool = False) -> None:
        if self._shared is None:
            raise RuntimeError("Nothing has been opened.")
        context = multiprocessing.get_context("spawn")  # a fork takes half of a loop along
        news, supervisor = context.Pipe(duplex=False)
        worker = Worker(place.index, is_restarted)
        generation = self._reloader.numbers.generation
        source = msgspec.structs.replace(self._source, generation=generation)
        shared = msgspec.structs.replace(self._shared, source=source)
        process = context.Process(
            target=run_worker,
            args=(self._settings, self._registry, worker, place.sockets, shared, supervisor),
            name=f"gateway-worker-{place.index}",
        )
        try:
            with _deaf_to_the_terminal():
                process.start()
        except OSError:
            news.close()
            raise
        finally:
            supervisor.close()
        loop = asyncio.get_running_loop()
        place.process, place.news = process, news
        place.is_ready, place.started_at = loop.create_future(), loop.time()
        loop.add_reader(news.fileno(), self._hear, place)
        loop.add_reader(process.sentinel, self._bury, place)

    def _hear(self, place: _Place) -> None:
        if place.news is None or place.is_ready is None:
            return
        try:
            news: News = place.news.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(place.news.fileno())
            return
        if news.what == "ready":
            place.admin_url = news.admin_url
            place.was_ever_ready = True
            place.is_ready.set_result(True)
        elif SPREADS:  # it was told by somebody else: callers go to the others meanwhile
            close_sockets(place.sockets)

    def _bury(self, place: _Place) -> None:
        process, news, is_ready = place.process, place.news, place.is_ready
        if process is None or news is None or is_ready is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(process.sentinel)
        loop.remove_reader(news.fileno())
        process.join()
        exit_code, lived_s = process.exitcode, loop.time() - place.started_at
        process.close()
        news.close()
        place.process = place.news = None
        if self._shared is not None:
            self._shared.board.mark_gone(place.index)
        if not is_ready.done():
            is_ready.set_result(False)
        if not self._running():
            self._all_ended.set()
        if self._was_told.is_set() or not place.was_ever_ready:
            return
        place.failures = 0 if lived_s >= PROVEN_S else place.failures + 1
        if place.failures > 1 and SPREADS:
            close_sockets(place.sockets)  # nobody should wait for it while it is not started
        _log.error(
            "worker.died", worker=place.index, exit_code=exit_code, lived_s=round(lived_s, 3)
        )
        self._tasks.spawn("restart_worker", self._restart(place))

    async def _restart(self, place: _Place) -> None:
        while not self._was_told.is_set():
            if place.failures > 1:
                pause_s = min(FIRST_PAUSE_S * 2 ** (place.failures - 2), LAST_PAUSE_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._was_told.wait(), pause_s)
                    return
            try:
                await self._start_again(place)
            except OSError as error:  # ListenError is one: somebody took the port; or no memory
                place.failures += 2
                _log.error("worker.not_started", worker=place.index, reason=str(error))
            else:
                return

    async def _start_again(self, place: _Place) -> None:
        if place.sockets[0].fileno() < 0:  # closed while it paused, or was told to stop
            server = self._settings.server
            place.sockets = await open_sockets(server.host, server.port, shared=True)
        self._start(place, is_restarted=True)

    async def _stop(self) -> None:
        """Let workers drain, and end those that do not."""
        await self._tasks.cancel()
        if not self._was_told.is_set():
            self._take_signal()
        if self._running():
            patience_s = self._settings.server.drain_s + PATIENCE_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), patience_s)
        for process in self._running():
            _log.error("worker.killed", pid=process.pid)
            process.kill()
            process.join()
        if self._shared is not None:
            self._shared.close()

    def _crashed(self, task: str, error: BaseException) -> None:
        _log.error("task.crashed", task=task, exc_info=error)


@contextlib.contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """A process that is started meanwhile does not hear Ctrl-C, from its first moment on.

    SIGHUP waits for it until it listens: one that is not handled would end it.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        signal.signal(signal.SIGINT, before)
