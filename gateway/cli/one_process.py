"""One process that answers requests, until it is told to stop.

The rule here: what is set for the whole process is set here: its log, its loop, its collector.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog
import typer
import uvloop

from gateway.cli.banner import describe_start
from gateway.cli.service import SIGNALS, Service
from gateway.config.load import Registry, known_secrets
from gateway.config.settings import Settings
from gateway.core.exchange import Observer
from gateway.limits.proof import ToothlessRuleError
from gateway.limits.unpriced import find_unpriced
from gateway.middleware.authenticate import UnsafeBindError
from gateway.middleware.enforce_limits import IdleRuleError
from gateway.plugins.keys import ONLY_WORKER, Worker
from gateway.plugins.loading import PluginError
from gateway.server.site import ParserError
from gateway.server.sockets import ListenError
from gateway.stores.errors import StoreError
from gateway.telemetry.exchange_log import make_exchange_log
from gateway.telemetry.logging import configure_logging
from gateway.telemetry.tracing.opening import TracingError

GC_THRESHOLD = 20_000  # new objects before the youngest are looked at; Python's own is 700

# What is said in one sentence and ends in exit code 1.
REFUSALS = (
    IdleRuleError,
    ListenError,
    ParserError,
    PluginError,
    StoreError,
    ToothlessRuleError,
    TracingError,
    UnsafeBindError,
)


class Duty(msgspec.Struct, frozen=True):
    """What is particular to one process."""

    when_ready: Callable[[Service], None]
    when_told: Callable[[], object] = list  # to stop
    worker: Worker = ONLY_WORKER
    listening: Sequence[socket.socket] | None = None  # None: where the settings say
    signals: Iterable[signal.Signals] = SIGNALS
    to_hasten: signal.Signals | None = None  # None: the second of those


def serve_alone(settings: Settings, registry: Registry) -> None:
    """Be the only process of a gateway; raises one of REFUSALS when it cannot start."""

    def show(service: Service) -> None:
        show_start(settings, registry, url=service.url, admin_url=service.admin_url)

    serve_here(settings, registry, Duty(show))


def show_start(settings: Settings, registry: Registry, *, url: str, admin_url: str | None) -> None:
    """Print where it listens, and how to try it; log what will surprise somebody."""
    for sentence in find_unpriced(settings.rules, registry.providers):
        structlog.get_logger().warning("limits.unpriced", sentence=sentence)
    for line in describe_start(settings, registry, url=url, admin_url=admin_url):
        typer.echo(line)


def serve_here(settings: Settings, registry: Registry, duty: Duty) -> None:
    """Serve in this process; raises one of REFUSALS when it cannot start."""
    log = open_log(settings, registry)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, registry, log, duty))


def open_log(settings: Settings, registry: Registry) -> Observer:
    """Write the log of this process, and give what writes the line of an exchange."""
    secrets = known_secrets(settings, registry)
    configure_logging(settings.logging, stream=sys.stdout, secrets=secrets)
    return make_exchange_log(settings.logging, stream=sys.stdout, secrets=secrets)


def tune_garbage_collector() -> None:
    """Look for cycles less often, and never among what lives as long as the process.

    An exchange leaves none (tests/system/test_garbage.py). Python's own pace would look through
    what open streams hold each time a dozen more have opened.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


async def _serve(settings: Settings, registry: Registry, log: Observer, duty: Duty) -> None:
    service = Service(settings, registry, log, worker=duty.worker)
    service.hear_signals(duty.signals, to_hasten=duty.to_hasten)
    try:
        await service.start(duty.listening)
        duty.when_ready(service)
        tune_garbage_collector()
        await service.wait_until_told()
        duty.when_told()
        await service.drain()
    finally:
        await service.stop()
