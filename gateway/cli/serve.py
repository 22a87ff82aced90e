"""`gateway serve`: from two files to a running gateway, and back to nothing.

The rule here: whatever is wrong is said before anything listens, all of it at once.
"""

import asyncio
from pathlib import Path

import typer

from gateway.config.listeners import SamePortError, refuse_same_port
from gateway.config.load import Registry, load_registry, load_settings
from gateway.config.problems import ConfigError, Problem
from gateway.config.settings import Settings
from gateway.config.systemd import Systemd, SystemdError, take_systemd
from gateway.limits.checking_rules import (
    IdleRuleError,
    UnsharedCountersError,
    refuse_idle_rules,
    refuse_unshared_counters,
)
from gateway.limits.proof import ToothlessRuleError, prove_rules
from gateway.middleware.authenticate import UnsafeBindError, refuse_unsafe_bind
from gateway.plugins.loading import PluginError
from gateway.server.socket_activation import adopt_sockets, place_of
from gateway.serving.one_process import REFUSALS, serve_alone
from gateway.serving.process_limits import forbid_core_dumps, raise_file_limit
from gateway.serving.reloading import Overrides, find_source, override
from gateway.serving.sd_notify import Notifier
from gateway.serving.supervisor import WorkerError, supervise
from gateway.telemetry.tracing.opening import UnknownProviderError, refuse_unknown_providers

EXIT_CONFIG = 78  # sysexits(3): only a person can mend it
# Of REFUSALS those that the same configuration brings about each time.
MISTAKES = (
    IdleRuleError,
    PluginError,
    SamePortError,
    SystemdError,
    ToothlessRuleError,
    UnknownProviderError,
    UnsafeBindError,
)


def serve(config: Path | None, providers: Path | None, overrides: Overrides) -> int:
    """Run the gateway until it is told to stop.

    0, or 1 when it cannot start, or 2 when it could and several workers would count for themselves.
    A service manager that listens gets 78 where it would try the same mistake again.
    """
    mistaken = 1
    try:
        systemd = take_systemd()
        if systemd.notify_address is not None:
            mistaken = EXIT_CONFIG
        _run(config, providers, overrides, systemd)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        return mistaken
    except UnsharedCountersError as error:
        typer.echo(f"The gateway did not start. {error}", err=True)
        return 2
    except MISTAKES as error:
        typer.echo(f"The gateway did not start. {error}", err=True)
        return mistaken
    except REFUSALS as error:
        typer.echo(f"The gateway did not start. {error}", err=True)
        return 1
    except WorkerError as error:
        if str(error):
            typer.echo(f"The gateway did not start. {error}", err=True)
        return 1
    return 0


def _run(
    config: Path | None, providers: Path | None, overrides: Overrides, systemd: Systemd
) -> None:
    settings, registry = _load(config, providers)
    inherited = adopt_sockets(systemd.sockets)
    server = {**overrides.get("server", {}), **place_of(inherited)}
    source = find_source(config, {**overrides, "server": server}, registry.source)
    settings = override(settings, source.overrides)
    refuse_unshared_counters(settings)
    refuse_same_port(settings)
    refuse_unsafe_bind(settings, registry)
    refuse_idle_rules(settings, registry)
    if settings.tracing is not None:
        refuse_unknown_providers(settings.tracing, registry.providers)
    asyncio.run(prove_rules(settings.rules))
    raise_file_limit()
    forbid_core_dumps()
    if settings.server.workers > 1:
        supervise(settings, registry, source, Notifier(systemd), inherited)
    else:
        serve_alone(settings, registry, source, Notifier(systemd), inherited)


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
