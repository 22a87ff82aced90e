"""`gateway keys`: making, showing and ending stored keys.

Rule: a key is printed once, when it is made, alone on a line of standard output.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from gateway.cli.key_table import print_keys, render_key
from gateway.cli.stores import run_with_keys
from gateway.config.load import REGISTRY_FILE, load_registry
from gateway.config.problems import ConfigError
from gateway.config.settings import Settings
from gateway.config.text import is_there
from gateway.core.clock import system_clock
from gateway.core.durations import render_time
from gateway.core.gateway_key import is_key
from gateway.stores.issuing import (
    LISTS,
    KeyFieldError,
    WantedKey,
    check_providers,
    check_wanted,
    create_key,
    describe_key,
    find_by_key,
    read_duration,
    rotate_key,
)
from gateway.stores.opening import OpenKeys

Lists = Mapping[str, Sequence[str] | None]

STDIN = "-"


def create(
    name: str,
    tenant: str,
    lists: Lists,
    expires: str | None,
    config: Path | None,
    registry: Path | None,
) -> int:
    """Make a key and print it."""
    now = int(system_clock())
    try:
        wanted = check_wanted(
            name,
            tenant=tenant,
            lists={field: values or () for field, values in lists.items()},
            expires=expires,
            now=now,
        )
        if wanted.providers or wanted.models:
            _check_registry(wanted, registry)
    except KeyFieldError as error:
        raise _bad_parameter(error) from None
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        return 1

    async def work(settings: Settings, opened: OpenKeys) -> int:
        key, _ = await create_key(opened, wanted, now)
        _hand_over(name, key, settings)
        return 0

    return run_with_keys(config, work)


def list_keys(output: str, config: Path | None) -> int:
    """Print every key, but not the keys themselves."""

    async def work(_: Settings, opened: OpenKeys) -> int:
        keys = await opened.store.fetch_keys()
        if output == "json":
            typer.echo(json.dumps([describe_key(key, system_clock()) for key in keys], indent=2))
        elif keys:
            print_keys(keys, system_clock())
        else:
            typer.echo("There are no keys yet; `gateway keys create NAME` makes one.", err=True)
        return 0

    return run_with_keys(config, work)


def show(name: str, config: Path | None) -> int:
    """Print one key, but not the key itself."""
    _check_name(name)

    async def work(_: Settings, opened: OpenKeys) -> int:
        key = await opened.store.fetch_key(name)
        for line in render_key(key, system_clock()):
            typer.echo(line)
        return 0

    return run_with_keys(config, work)


def rotate(name: str, overlap: str, config: Path | None) -> int:
    """Print a new key for the same holder; the old one goes on for a while."""
    _check_name(name)
    try:
        overlap_s = read_duration("overlap", overlap)
    except KeyFieldError as error:
        raise _bad_parameter(error) from None

    async def work(settings: Settings, opened: OpenKeys) -> int:
        key, old_ends_at = await rotate_key(opened, name, overlap_s, int(system_clock()))
        _hand_over(name, key, settings)
        if overlap_s:
            until = render_time(old_ends_at)
            typer.echo(f"The old key of {name} works until {until}.", err=True)
        return 0

    return run_with_keys(config, work)


def disable(name: str, config: Path | None) -> int:
    """Refuse a key from now on."""
    _check_name(name)

    async def work(_: Settings, opened: OpenKeys) -> int:
        if await opened.store.disable_key(name, int(system_clock())):
            typer.echo(f"{name} is disabled; running gateways refuse it within ten seconds.")
        else:
            typer.echo(f"{name} was already disabled.")
        return 0

    return run_with_keys(config, work)


def try_key(key: str, config: Path | None) -> int:
    """Say whose key this is; 1 unless it works."""
    text = (sys.stdin.readline() if key == STDIN else key).strip()

    async def work(_: Settings, opened: OpenKeys) -> int:
        found = await find_by_key(opened, text)
        for line in render_key(found, system_clock()):
            typer.echo(line)
        return 0 if found.state_at(system_clock()) == "active" else 1

    return run_with_keys(config, work)


def _check_registry(wanted: WantedKey, path: Path | None) -> None:
    """Raise KeyFieldError for a provider that the registry lacks; ConfigError.

    Where no registry is named and none is here, nobody knows which one the gateway has.
    """
    if path is None and not is_there(REGISTRY_FILE):
        return
    try:
        known = load_registry(path).providers
    except ConfigError:
        if path is None:  # its credentials may be for the gateway's user alone
            return
        raise
    check_providers(wanted, known)


def _check_name(name: str) -> None:
    """Raise where it is a key, which would be repeated as the name of nobody."""
    if is_key(name):
        raise typer.BadParameter(
            "is a key, not the name of its holder; `gateway keys test -` reads a key and says "
            "whose it is",
            param_hint="NAME",
        )


def _hand_over(name: str, key: str, settings: Settings) -> None:
    typer.echo(key)
    typer.echo(f"This is the key of {name}; it is not shown again.", err=True)
    if not settings.wants_stored_keys:
        typer.echo(
            "No gateway asks for it yet: gateway.yaml needs `auth: [{kind: gateway_key}]`.",
            err=True,
        )


def _bad_parameter(error: KeyFieldError) -> typer.BadParameter:
    """The same, about the option that the field comes from."""
    if error.field == "name":
        return typer.BadParameter(str(error), param_hint="NAME")
    option = error.field.removesuffix("s") if error.field in LISTS else error.field
    return typer.BadParameter(str(error), param_hint=f"--{option}")
