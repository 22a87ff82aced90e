"""The running gateway: both listeners, from the first accept to the last byte.

The rule here: what was started is stopped in reverse order, whatever happened in between.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

import structlog
from aiohttp import web

from gateway.app import KEYS, METRICS, SIMULATOR, WRITER, build_app
from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.console.admin import build_admin_app, finish_changes
from gateway.console.breakers import LIST_BREAKERS
from gateway.console.credentials import CredentialDesk
from gateway.console.keys import PROVIDERS
from gateway.console.readiness import Readiness
from gateway.core.exchange import Observer
from gateway.credentials.pools import POOLS
from gateway.middleware.assign_request_id import IN_FLIGHT
from gateway.middleware.shed_load import PRESSURE
from gateway.plugins.keys import ONLY_WORKER, Worker
from gateway.server.site import (
    GatewaySite,
    close_idle_connections,
    last_call_s,
    listen_on,
    make_runner,
    retire_connections,
)
from gateway.server.sockets import local_url, open_sockets
from gateway.server.stand_ins import StandIns
from gateway.server.unix_sockets import SocketFile, open_unix_socket
from gateway.serving.restoring import Restorer
from gateway.serving.shared import Shared
from gateway.stores.counters import CounterStore
from gateway.stores.ledger import UsageQuery, UsageRow
from gateway.telemetry.reporter import Reporter

# Time after draining in which answers end with an error, before handlers are cancelled.
LAST_WORDS_S = 2.0
# Time after draining before the process is killed: for those errors, and for ledger rows that a
# slow database has to take.
PATIENCE_S = 2 * LAST_WORDS_S + 20.0

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger()


class Service:
    """One gateway in this process."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        log: Observer,
        counters: CounterStore | None = None,
        worker: Worker = ONLY_WORKER,
    ) -> None:
        self.readiness = Readiness()
        self.app = build_app(settings, registry, log, counters, worker)
        self._worker = worker
        self._settings = settings
        self._runner = make_runner(self.app, shutdown_s=LAST_WORDS_S)
        metrics = self.app[METRICS]
        self.reporter = Reporter(metrics, lambda: self.readiness.reason, worker.index)
        self._restorer = Restorer(self.app[POOLS], self.reporter.list_credentials, worker.index)
        metrics.loop.at_each_beat += [self._restorer.look, self.reporter.publish]
        self._admin_app = build_admin_app(
            self.reporter,
            render_metrics=self.reporter.render,
            settings=settings,
            find_keys=lambda: self.app.get(KEYS),
            fetch_usage=self._fetch_usage if settings.keeps_ledger else None,
            credentials=CredentialDesk(self.reporter.list_credentials, self._restorer.restore),
        )
        self._admin_app[PROVIDERS] = registry.providers
        self._admin_app[LIST_BREAKERS] = self.reporter.list_breakers
        self._admin_runner = make_runner(self._admin_app, shutdown_s=LAST_WORDS_S)
        self._socket_file: SocketFile | None = None
        self.app[PRESSURE].when_short_of_files.append(partial(close_idle_connections, self._runner))
        self._sites: list[GatewaySite] = []
        self._admin_sites: list[GatewaySite] = []
        self._stand_ins = StandIns({})
        self._was_told = asyncio.Event()
        self._hastened = asyncio.Event()

    @property
    def url(self) -> str:
        """The URL of the public listener."""
        return self._sites[0].url

    @property
    def admin_url(self) -> str | None:
        """The URL of the admin listener; None if it is switched off."""
        return self._admin_sites[0].url if self._admin_sites else None

    async def start(
        self,
        listening: Sequence[socket.socket] | None = None,
        others: Mapping[int, Sequence[socket.socket]] | None = None,
        shared: Shared | None = None,
    ) -> None:
        """Listen; the admin listener first, so that health is visible from the start.

        `listening` are the public listener's sockets if they are already bound, and `others` those
        of the other workers; `shared` is what all workers have in common.
        """
        self._stand_ins = StandIns(others or {})
        server, admin = self._settings.server, self._settings.admin
        if shared is not None:
            self.reporter.join(shared.board)
            self._restorer.join(shared.orders)
        await self._runner.setup()
        if admin.enabled:
            await self._admin_runner.setup()
            sockets = await open_sockets(admin.host, admin.port) if shared is None else shared.admin
            self._admin_sites = await listen_on(self._admin_runner, sockets, server)
        if listening is None:
            listening = await self._open_listening()
        metrics = self.app[METRICS]
        self._sites = await listen_on(
            self._runner,
            listening,
            server,
            when_unused=metrics.count_unused_connection,
            when_turned_away=metrics.count_turned_away,
            pressure=self.app[PRESSURE],
        )
        if SIMULATOR in self.app and self.url.startswith("http"):  # curl needs an option otherwise
            self.app[SIMULATOR].gateway_url = local_url(self.url)
        self.readiness.set_ready()
        self.reporter.publish()
        _log.info(
            "gateway.started", url=self.url, admin_url=self.admin_url, worker=self._worker.index
        )

    async def accept_for(self, away: Collection[int]) -> None:
        """Accept for exactly these other workers too, by index; one call at a time."""
        if self._sites:
            await self._stand_ins.accept_for(away, beside=self._sites[0])

    def hear_signals(
        self,
        signals: Iterable[signal.Signals] = SIGNALS,
        *,
        to_hasten: signal.Signals | None = None,
    ) -> None:
        """Stop at these signals; called before the start, so that none comes too early.

        The second one hastens the stop, unless there is another signal for that.
        """
        loop = asyncio.get_running_loop()
        for number in signals:
            loop.add_signal_handler(
                number, self._take_signal if to_hasten is None else self.tell_to_stop
            )
        if to_hasten is not None:
            loop.add_signal_handler(to_hasten, self._hasten)

    def describe(self) -> str:
        """The current state in a sentence for the operator."""
        count = self.app[IN_FLIGHT].count
        if self._was_told.is_set():
            return f"Draining, exchanges in flight: {count}."
        if not self._sites:  # a reload may ask before it listens
            return "Starting."
        return f"Listening on {self.url}, exchanges in flight: {count}."

    async def wait_until_told(self) -> None:
        """Wait until it is told to stop."""
        await self._was_told.wait()

    async def drain(self) -> None:
        """Take no new requests and let running answers end, for as long as the settings allow."""
        self._set_unready("draining")
        self._remove_socket_file()
        for site in self._sites:
            await site.stop()
        await self._stand_ins.close()
        retire_connections(self._runner)
        _log.info("gateway.draining", in_flight=self.app[IN_FLIGHT].count)
        await self._wait_for_the_last()

    async def _wait_for_the_last(self) -> None:
        """Wait for running answers and connections in use, for as long as the settings allow."""
        loop, in_flight = asyncio.get_running_loop(), self.app[IN_FLIGHT]
        end = loop.time() + self._settings.server.drain_s
        while (left_s := end - loop.time()) > 0 and not self._hastened.is_set():
            if in_flight.count:
                if not await in_flight.wait_until_none(left_s):
                    return
            elif wait_s := last_call_s(self._runner):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hastened.wait(), min(wait_s, left_s))
            else:
                return

    async def stop(self) -> None:
        """End running answers with an error, and release everything."""
        self._set_unready("stopping")
        self._remove_socket_file()
        await finish_changes(self._admin_app)
        await _clean_up(self._runner)
        await _clean_up(self._admin_runner)
        self.reporter.publish()  # so that the other workers see its last numbers
        if self._sites:  # otherwise it never started
            _log.info("gateway.stopped")

    async def _open_listening(self) -> list[socket.socket]:
        server = self._settings.server
        if server.unix_socket is None:
            return await open_sockets(server.host, server.port)
        listening, self._socket_file = open_unix_socket(server.unix_socket, server.unix_socket_mode)
        return [listening]

    def _remove_socket_file(self) -> None:
        if self._socket_file is not None:
            self._socket_file.remove()
            self._socket_file = None

    def _set_unready(self, reason: str) -> None:
        self.readiness.set_unready(reason)
        self.reporter.publish()

    async def _fetch_usage(self, query: UsageQuery) -> list[UsageRow]:
        return await self.app[WRITER].fetch_usage(query)

    def tell_to_stop(self) -> None:
        """Tell it to stop; a second call changes nothing."""
        self._was_told.set()

    def _take_signal(self) -> None:
        if self._was_told.is_set():  # the second signal: the sender does not want to wait
            self._hasten()
        self.tell_to_stop()

    def _hasten(self) -> None:
        self._hastened.set()
        self.app[IN_FLIGHT].stop_waiting()


async def _clean_up(runner: web.AppRunner) -> None:
    if runner.server is not None:
        await runner.cleanup()
    else:  # it did not start, but some things were already opened
        await runner.app.cleanup()
