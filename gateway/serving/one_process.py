"""One process that answers requests until it is told to stop.

The rule here: process-wide settings are made here: the event loop and the garbage collector, and
the log through `process_log`.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import structlog
import uvloop

from gateway.app import METRICS, add_content_log
from gateway.config.listeners import SamePortError
from gateway.config.load import SETTINGS_FILE, Registry
from gateway.config.settings import Settings
from gateway.config.systemd import SystemdError
from gateway.core.tasks import Tasks
from gateway.limits.checking_rules import IdleRuleError
from gateway.limits.proof import ToothlessRuleError
from gateway.limits.unpriced import find_unpriced
from gateway.middleware.authenticate import UnsafeBindError
from gateway.plugins.finding import look_in, places_of
from gateway.plugins.keys import ONLY_WORKER, Worker
from gateway.plugins.loading import PluginError
from gateway.server.site import ParserError
from gateway.server.sockets import ListenError
from gateway.serving.banner import describe_start
from gateway.serving.open_files import FileLimitError
from gateway.serving.process_log import closing_log, open_log, print_banner
from gateway.serving.reloading import Reloader, Source
from gateway.serving.sd_notify import Notifier
from gateway.serving.service import PATIENCE_S, SIGNALS, Service
from gateway.serving.shared import Shared
from gateway.stores.errors import StoreError
from gateway.telemetry.content_log import ContentFileError
from gateway.telemetry.crashes import report_crash
from gateway.telemetry.logging import GatewayLog
from gateway.telemetry.tracing.opening import TracingError

GC_THRESHOLD = 20_000  # new objects until a young collection; Python's default is 700

# Errors that are shown in one sentence and end with exit code 1.
REFUSALS = (
    ContentFileError,
    FileLimitError,
    IdleRuleError,
    ListenError,
    ParserError,
    PluginError,
    SamePortError,
    SystemdError,
    StoreError,
    ToothlessRuleError,
    TracingError,
    UnsafeBindError,
)


class Duty(msgspec.Struct, frozen=True):
    """What differs from process to process."""

    when_ready: Callable[[Service, GatewayLog], None]
    source: Source
    when_told: Callable[[], object] = list  # to stop
    worker: Worker = ONLY_WORKER
    listening: Sequence[socket.socket] | None = None  # None: where the settings say
    shared: Shared | None = None  # with the other workers
    others: Mapping[int, Sequence[socket.socket]] = {}  # of the other workers, by index
    signals: Iterable[signal.Signals] = SIGNALS
    to_hasten: signal.Signals | None = None  # None: the second of those
    speaks: bool = True  # says what came of a reload
    notifier: Notifier = Notifier()  # tells nobody


def serve_alone(
    settings: Settings,
    registry: Registry,
    source: Source,
    notifier: Notifier,
    inherited: Sequence[socket.socket] = (),
) -> None:
    """Run as the only process of a gateway; raises one of REFUSALS if it cannot start."""

    def show(service: Service, log: GatewayLog) -> None:
        show_start(settings, registry, log, url=service.url, admin_url=service.admin_url)

    duty = Duty(show, source, listening=inherited or None, notifier=notifier)
    serve_here(settings, registry, duty)


def show_start(
    settings: Settings,
    registry: Registry,
    log: GatewayLog,
    *,
    url: str,
    admin_url: str | None,
) -> None:
    """Print where it listens and how to try it, and log what may surprise the operator."""
    for sentence in find_unpriced(settings.rules, registry.providers):
        structlog.get_logger().warning("limits.unpriced", sentence=sentence)
    print_banner(describe_start(settings, registry, url=url, admin_url=admin_url), log)


def serve_here(settings: Settings, registry: Registry, duty: Duty) -> None:
    """Serve in this process; raises one of REFUSALS if it cannot start."""
    # In each process: a spawned one inherits `sys.path`, but not the import hook.
    places = places_of(duty.source.path or SETTINGS_FILE)
    look_in(places, [spec.use for spec in settings.middleware])
    log = open_log(settings, registry)
    with (
        closing_log(log, REFUSALS),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, registry, log, duty))


def tune_garbage_collector() -> None:
    """Collect garbage less often, and never among objects that live as long as the process.

    An exchange leaves no cycles (tests/system/test_garbage.py). With Python's defaults the
    collector would scan everything that open streams hold each time a dozen more have opened.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


async def _serve(settings: Settings, registry: Registry, log: GatewayLog, duty: Duty) -> None:
    service = Service(settings, registry, log.observe, worker=duty.worker)
    add_content_log(service.app, log.content)
    service.hear_signals(duty.signals, to_hasten=duty.to_hasten)
    notifier = duty.notifier
    reloader = Reloader(
        duty.source,
        settings,
        lambda found: log.apply(found.logging),
        speaks=duty.speaks,
        when_begun=notifier.tell_reloading,
        when_done=lambda: notifier.tell_reloaded(service.describe()),
    )
    metrics = service.app[METRICS]
    metrics.count_log = lambda: log.numbers
    metrics.count_config = lambda: reloader.numbers
    tasks = Tasks(report_crash)
    reloader.hear(tasks, service.tell_to_stop)
    try:
        await service.start(duty.listening, duty.others, duty.shared)
        duty.when_ready(service, log)
        notifier.tell_ready(service.describe())
        notifier.keep_beating(service.describe)
        tune_garbage_collector()
        await service.wait_until_told()
        duty.when_told()
        notifier.tell_stopping("Draining.", within_s=settings.server.drain_s + PATIENCE_S)
        await service.drain()
    finally:
        await tasks.cancel()
        await service.stop()
