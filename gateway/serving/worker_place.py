"""The place of one worker: the process that has it now, and what is said between the two.

The rule here: a place outlives its processes. How often they died is known here alone.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import msgspec

from gateway.config.child_environment import hide_credentials
from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.core.credential import Credential
from gateway.plugins.keys import Worker
from gateway.serving.handover import Handover
from gateway.serving.shared import Shared
from gateway.serving.worker import Away, LastWord, News, run_worker

# A worker that lived for so long is replaced at once; one that did not waits, longer each time.
PROVEN_S = 10.0
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 30.0
DOUBLINGS = 6  # from the first pause to the last; a power of all failures grows beyond a float
# Whoever was silent for so long is not waited for by those who come now: others accept for it.
SILENT_S = 3.0

Sockets = Mapping[int, Sequence[socket.socket]]  # by the index of the worker whose they are


class Start(msgspec.Struct, frozen=True):
    """What a new process is given."""

    settings: Settings
    registry: Registry
    sockets: Sockets
    shared: Shared


class Death(msgspec.Struct, frozen=True):
    """What is known of a process that ended."""

    exit_code: int | None  # below zero: the signal that ended it
    lived_s: float
    last_word: LastWord | None = None  # none of one that a signal ended

    @property
    def way(self) -> str:
        """How it ended, as the second half of a sentence."""
        code = self.exit_code
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        known = {number.value: number.name for number in signal.Signals}
        return f"was ended by {known.get(-code, f'signal {-code}')}"


class Pulse(msgspec.Struct):
    """What is known of the signs of life of one process."""

    beats: int = 0  # of its event loop, as far as they were seen
    silent_s: float = 0.0
    stopping_s: float | None = None  # since it said that it stops

    def feel(self, beats: int, passed_s: float) -> None:
        """Note how often it has beaten by now; before its first beat it is not silent."""
        if beats != self.beats:
            self.beats, self.silent_s = beats, 0.0
        elif beats:
            self.silent_s += passed_s
        if self.stopping_s is not None:
            self.stopping_s += passed_s


class WorkerPlace(msgspec.Struct, eq=False):
    """One worker, and those that came before and come after it."""

    index: int
    process: SpawnProcess | None = None
    pulse: Pulse = msgspec.field(default_factory=Pulse)
    is_ready: bool = False
    was_killed: bool = False  # by us, and it may not have ended yet
    was_ever_ready: bool = False
    admin_url: str | None = None
    deaths: int = 0
    failures: int = 0  # since one was proven
    _last_word: LastWord | None = None
    _line: Connection | None = None
    _readiness: asyncio.Future[bool] | None = None
    _started_at: float = 0.0

    @property
    def is_accepting(self) -> bool:
        """Whether who comes to it is answered before long."""
        return self.is_ready and self.pulse.silent_s < SILENT_S

    @property
    def pause_s(self) -> float:
        """How long nobody should be in this place; 0 after a first death."""
        if self.failures <= 1:
            return 0.0
        doubled = FIRST_PAUSE_S * 2.0 ** min(self.failures - 2, DOUBLINGS)
        return min(doubled, LAST_PAUSE_S)

    def start(
        self,
        given: Start,
        *,
        when_heard: Callable[[], None],
        when_dead: Callable[["WorkerPlace"], None],
    ) -> None:
        """Put a process there; OSError when there can be none."""
        context = multiprocessing.get_context("spawn")  # a fork takes half of a loop along
        line, its_end = context.Pipe()
        worker = Worker(self.index, is_restarted=self.deaths > 0)
        process = context.Process(
            target=Handover(
                run_worker,
                given.settings,
                given.registry,
                worker,
                given.sockets,
                given.shared,
                its_end,
            ),
            name=f"gateway-worker-{self.index}",
        )
        try:
            with _deaf_to_the_terminal(), hide_credentials(_credentials_of(given.registry)):
                process.start()
        except OSError:
            line.close()
            raise
        finally:
            its_end.close()
        loop = asyncio.get_running_loop()
        self.process, self._line = process, line
        self._readiness, self._started_at = loop.create_future(), loop.time()
        self.pulse, self.was_killed, self._last_word = Pulse(), False, None
        loop.add_reader(line.fileno(), self._hear, when_heard)
        loop.add_reader(process.sentinel, when_dead, self)

    async def wait_until_ready(self) -> bool:
        """Wait until it answers; False when it ended before that."""
        return self._readiness is not None and await self._readiness

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        # Whoever ended may have been waited for by a start of another one, and its number be
        # somebody else's by now.
        process = self.process
        if process is not None and process.exitcode is None and process.pid is not None:
            os.kill(process.pid, number)

    def kill(self) -> None:
        """End it without asking; that it has ended is heard as always."""
        if self.process is not None:
            self.was_killed = True
            self.process.kill()

    def tell_away(self, away: Collection[int]) -> None:
        """Have it accept for these workers, and for no other."""
        if self._line is not None:
            with contextlib.suppress(OSError):  # it died, and that is noticed elsewhere
                self._line.send(Away(tuple(away)))

    def bury(self) -> Death:
        """Clear the place of a process that has ended."""
        process, line, readiness = self.process, self._line, self._readiness
        if process is None or line is None or readiness is None:
            raise RuntimeError("Nobody was in this place.")
        loop = asyncio.get_running_loop()
        loop.remove_reader(process.sentinel)
        loop.remove_reader(line.fileno())
        # Whoever is ending does not notice; who has only closed its files would be waited for.
        process.kill()
        process.join()
        lived_s = loop.time() - self._started_at
        with contextlib.suppress(EOFError, OSError):
            while line.poll():  # its end may be noticed before its last words
                self._take(line.recv())
        death = Death(process.exitcode, lived_s, self._last_word)
        process.close()
        line.close()
        self.process = self._line = None
        self.is_ready = False
        self.deaths += 1
        self.failures = 0 if death.lived_s >= PROVEN_S else self.failures + 1
        if not readiness.done():
            readiness.set_result(False)
        return death

    def _hear(self, when_heard: Callable[[], None]) -> None:
        if self._line is None:
            return
        try:
            self._take(self._line.recv())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            return
        when_heard()

    def _take(self, news: News) -> None:
        self.is_ready = news.what == "ready"
        if news.what == "ready":
            self.admin_url = news.admin_url
            self.was_ever_ready = True
            if self._readiness is not None:
                self._readiness.set_result(True)
        elif news.what == "stopping":
            self.pulse.stopping_s = 0.0
        else:
            self._last_word = news.what


def _credentials_of(registry: Registry) -> Iterator[Credential]:
    for credentials in registry.credentials.values():
        yield from credentials


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
