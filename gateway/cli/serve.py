"""`gateway serve`: from two files to a running gateway, and back to nothing.

The rule here: whatever is wrong is said before anything listens, all of it at once.
"""

import asyncio
import gc
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import structlog
import typer
import uvloop

from gateway.cli.banner import describe_start
from gateway.cli.service import Service
from gateway.config.load import (
    SETTINGS_FILE,
    Registry,
    known_secrets,
    load_registry,
    load_settings,
)
from gateway.config.problems import ConfigError, Problem
from gateway.config.settings import Settings
from gateway.config.spec import Spec
from gateway.core.exchange import Observer
from gateway.limits.proof import ToothlessRuleError, prove_rules
from gateway.limits.unpriced import find_unpriced
from gateway.middleware.authenticate import UnsafeBindError, refuse_unsafe_bind
from gateway.middleware.enforce_limits import IdleRuleError, refuse_idle_rules
from gateway.plugins.loading import PluginError, look_in
from gateway.server.site import ParserError
from gateway.server.sockets import ListenError
from gateway.stores.errors import StoreError
from gateway.telemetry.exchange_log import make_exchange_log
from gateway.telemetry.logging import configure_logging

GC_THRESHOLD = 20_000  # new objects before the youngest are looked at; Python's own is 700
MAX_OPEN_FILES = 1_048_576  # where the hard limit is "unlimited", macOS refuses that itself

# What is said in one sentence and ends in exit code 1.
_REFUSALS = (
    IdleRuleError,
    ListenError,
    ParserError,
    PluginError,
    StoreError,
    ToothlessRuleError,
    UnsafeBindError,
)

Overrides = Mapping[str, Mapping[str, object]]
SpecT = TypeVar("SpecT", bound=Spec)


def serve(config: Path | None, providers: Path | None, overrides: Overrides) -> int:
    """Run the gateway until it is told to stop; 0, or 1 when it cannot start."""
    try:
        settings, registry = _load(config, providers)
        settings = _override(settings, overrides)
        refuse_unsafe_bind(settings, registry)
        refuse_idle_rules(settings, registry)
        look_in([(config or SETTINGS_FILE).resolve().parent, Path.cwd()])
        secrets = known_secrets(settings, registry)
        configure_logging(settings.logging, stream=sys.stdout, secrets=secrets)
        log = make_exchange_log(settings.logging, stream=sys.stdout, secrets=secrets)
        raise_file_limit()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, registry, log))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        return 1
    except _REFUSALS as error:
        typer.echo(f"The gateway did not start. {error}", err=True)
        return 1
    return 0


def raise_file_limit() -> None:
    """Take as many open files as the system gives: a stream needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else hard
    if wanted <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return  # what there was before has to do


def tune_garbage_collector() -> None:
    """Look for cycles less often, and never among what lives as long as the process.

    An exchange leaves none (tests/system/test_garbage.py). Python's own pace would look through
    what open streams hold each time a dozen more have opened.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


async def _serve(settings: Settings, registry: Registry, log: Observer) -> None:
    await prove_rules(settings.rules)
    for sentence in find_unpriced(settings.rules, registry.providers):
        structlog.get_logger().warning("limits.unpriced", sentence=sentence)
    service = Service(settings, registry, log)
    try:
        await service.start()
        for line in describe_start(
            settings, registry, url=service.url, admin_url=service.admin_url
        ):
            typer.echo(line)
        tune_garbage_collector()
        await service.wait_for_signal()
        await service.drain()
    finally:
        await service.stop()


def _load(config: Path | None, providers: Path | None) -> tuple[Settings, Registry]:
    """Both files, or the mistakes of both."""
    problems: list[Problem] = []
    settings, registry = Settings(), None
    try:
        settings = load_settings(config)
    except ConfigError as error:
        problems += error.problems
    try:
        registry = load_registry(providers)
    except ConfigError as error:
        problems += error.problems
    if problems or registry is None:
        raise ConfigError(problems)
    return settings, registry


def _override(settings: Settings, overrides: Overrides) -> Settings:
    """The settings with what the command line says in their place."""
    return settings.model_copy(
        update={
            "server": _replace(settings.server, overrides["server"]),
            "admin": _replace(settings.admin, overrides["admin"]),
        }
    )


def _replace(spec: SpecT, given: Mapping[str, object]) -> SpecT:
    return spec.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
