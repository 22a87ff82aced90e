"""One of several processes that answer requests, as it looks from inside.

The rule here: a worker stops with whoever started it, whatever that died of. Signals are the
supervisor's to pass on, or Ctrl-C, which the whole terminal hears, would count twice.
"""

import asyncio
import itertools
import multiprocessing
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Literal

import msgspec
import typer

from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.core.tasks import Tasks
from gateway.plugins.keys import Worker
from gateway.serving.one_process import REFUSALS, Duty, serve_here
from gateway.serving.process_log import CrashError
from gateway.serving.service import Service
from gateway.serving.shared import Shared
from gateway.telemetry.board import Board
from gateway.telemetry.crashes import report_crash
from gateway.telemetry.logging import GatewayLog

# Not a second SIGTERM: systemd sends one to every process of a service, and the supervisor another.
HASTEN = signal.SIGUSR1
BEAT_S = 0.25
AGAIN_S = 1.0  # after it could not stand in for another one


# Why it ends has been said: in a sentence, about what it shares with the others, or in the log.
LastWord = Literal["refused", "crashed"]


class News(msgspec.Struct, frozen=True):
    """What a worker tells its supervisor."""

    what: Literal["ready", "stopping"] | LastWord
    admin_url: str | None = None


class Away(msgspec.Struct, frozen=True):
    """What a supervisor tells its workers: for which ones they are to accept."""

    workers: tuple[int, ...]


def run_worker(
    settings: Settings,
    registry: Registry,
    worker: Worker,
    sockets: Mapping[int, Sequence[socket.socket]],
    shared: Shared,
    supervisor: Connection,
) -> None:
    """Serve until told to stop; exits with 1 when it cannot start.

    `sockets` are those of all workers on the port, by index.
    """

    def tell_ready(service: Service, _: GatewayLog) -> None:
        _stop_with_parent(service)
        _Ear(supervisor, service).listen()
        _beat_until_the_end(shared.board, worker.index)
        _tell(supervisor, News("ready", service.admin_url))

    duty = Duty(
        when_ready=tell_ready,
        source=shared.source,
        speaks=False,  # the supervisor does
        when_told=lambda: _tell(supervisor, News("stopping")),
        worker=worker,
        listening=sockets[worker.index],
        others={index: other for index, other in sockets.items() if index != worker.index},
        shared=shared,
        signals=(signal.SIGTERM,),
        to_hasten=HASTEN,
    )
    try:
        serve_here(settings, registry, duty)
    except REFUSALS as error:
        typer.echo(f"The gateway did not start. {error}", err=True)
        _tell(supervisor, News("refused"))
        sys.exit(1)
    except CrashError:
        _tell(supervisor, News("crashed"))
        raise


class _Ear:
    """Hears what the supervisor says, and does it, one thing after the other."""

    def __init__(self, supervisor: Connection, service: Service) -> None:
        self._supervisor = supervisor
        self._service = service
        self._tasks = Tasks(report_crash)
        self._last: Away | None = None
        self._wanted: Away | None = None
        self._is_working = False

    def listen(self) -> None:
        """Begin."""
        asyncio.get_running_loop().add_reader(self._supervisor.fileno(), self._hear)

    def _hear(self) -> None:
        try:
            self._last = self._supervisor.recv()
        except (EOFError, OSError):  # it is gone, and that is noticed elsewhere
            asyncio.get_running_loop().remove_reader(self._supervisor.fileno())
            return
        self._obey()

    def _obey(self) -> None:
        self._wanted = self._last
        if not self._is_working:
            self._is_working = True
            self._tasks.spawn("stand_in", self._work())

    async def _work(self) -> None:
        try:
            while self._wanted is not None:
                away, self._wanted = self._wanted, None
                await self._service.accept_for(away.workers)
        except OSError:  # no file is left just now, and callers wait; what failed is reported
            asyncio.get_running_loop().call_later(AGAIN_S, self._obey)
            raise
        finally:  # nothing must deafen it to what is said next
            self._is_working = False


def _beat_until_the_end(board: Board, place: int) -> None:
    """Give signs of life from this loop as long as it runs, also while it drains and cleans up."""
    loop = asyncio.get_running_loop()
    count = itertools.count(1)

    def beat() -> None:
        loop.call_later(BEAT_S, beat)
        board.beat(place, next(count))

    beat()


def _tell(supervisor: Connection, news: News) -> None:
    try:
        supervisor.send(news)
    except OSError:
        return  # it is gone, and that is noticed elsewhere


def _stop_with_parent(service: Service) -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()
    sentinel = parent.sentinel

    def stop() -> None:
        loop.remove_reader(sentinel)
        service.tell_to_stop()

    loop.add_reader(sentinel, stop)
