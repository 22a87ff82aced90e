"""The running gateway: both listeners, from the first accept to the last byte.

The rule here: what was started is stopped, in the reverse order, whatever happened between.
"""

import asyncio
import signal

import structlog
from aiohttp import web

from gateway.app import KEYS, METRICS, build_app
from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.console.admin import build_admin_app, finish_changes
from gateway.console.readiness import Readiness
from gateway.core.exchange import Observer
from gateway.middleware.assign_request_id import IN_FLIGHT
from gateway.server.site import GatewaySite, listen, make_runner, retire_connections
from gateway.stores.counters import CounterStore

# After the time to drain: for answers to end with their reason, before handlers are cancelled.
LAST_WORDS_S = 2.0

_log = structlog.get_logger()


class Service:
    """One gateway in this process."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        log: Observer,
        counters: CounterStore | None = None,
    ) -> None:
        self.readiness = Readiness()
        self.app = build_app(settings, registry, log, counters)
        self._settings = settings
        self._runner = make_runner(self.app, shutdown_s=LAST_WORDS_S)
        self._admin_app = build_admin_app(
            self.readiness,
            render_metrics=self.app[METRICS].render,
            settings=settings,
            find_keys=lambda: self.app.get(KEYS),
        )
        self._admin_runner = make_runner(self._admin_app, shutdown_s=LAST_WORDS_S)
        self._sites: list[GatewaySite] = []
        self._admin_sites: list[GatewaySite] = []
        self._was_told = asyncio.Event()

    @property
    def url(self) -> str:
        """Where callers on this machine reach it."""
        return self._sites[0].url

    @property
    def admin_url(self) -> str | None:
        """Where its health is; None when it is switched off."""
        return self._admin_sites[0].url if self._admin_sites else None

    async def start(self) -> None:
        """Listen; the admin listener first, so that health is seen from the start."""
        server, admin = self._settings.server, self._settings.admin
        await self._runner.setup()
        if admin.enabled:
            await self._admin_runner.setup()
            self._admin_sites = await listen(self._admin_runner, admin.host, admin.port, server)
        self._sites = await listen(
            self._runner,
            server.host,
            server.port,
            server,
            when_unused=self.app[METRICS].count_unused_connection,
        )
        self.readiness.set_ready()
        _log.info("gateway.started", url=self.url, admin_url=self.admin_url)

    async def wait_for_signal(self) -> None:
        """Sleep until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take_signal)
        await self._was_told.wait()

    async def drain(self) -> None:
        """Take no new request and let running answers end, for as long as settings allow."""
        self.readiness.set_unready("draining")
        for site in self._sites:
            await site.stop()
        retire_connections(self._runner)
        in_flight = self.app[IN_FLIGHT]
        _log.info("gateway.draining", in_flight=in_flight.count)
        await in_flight.wait_until_none(self._settings.server.drain_s)

    async def stop(self) -> None:
        """End what still runs, with its reason, and let go of everything."""
        self.readiness.set_unready("stopping")
        await finish_changes(self._admin_app)
        await _clean_up(self._runner)
        await _clean_up(self._admin_runner)
        if self._sites:  # otherwise it never began
            _log.info("gateway.stopped")

    def _take_signal(self) -> None:
        if self._was_told.is_set():  # the second one: whoever sends it will not wait
            self.app[IN_FLIGHT].stop_waiting()
        self._was_told.set()


async def _clean_up(runner: web.AppRunner) -> None:
    if runner.server is not None:
        await runner.cleanup()
