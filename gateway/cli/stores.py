"""What the commands about keys and the database share: settings in, an exit code out.

Rule: what is wrong is one sentence on standard error and exit code 1.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import typer

from gateway.config.load import load_settings
from gateway.config.problems import ConfigError
from gateway.config.settings import Settings
from gateway.stores.errors import StoreError
from gateway.stores.opening import OpenKeys, open_keys

TIMEOUT_S = 10.0  # for a person who waits; the gateway itself waits one second


def run_with_settings(
    config: Path | None, work: Callable[[Settings], Coroutine[object, object, int]]
) -> int:
    """Run something that needs the settings; 1 when they or the store are wrong."""
    try:
        return asyncio.run(work(load_settings(config)))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
    except StoreError as error:
        typer.echo(str(error), err=True)
    return 1


def run_with_keys(
    config: Path | None, work: Callable[[Settings, OpenKeys], Coroutine[object, object, int]]
) -> int:
    """Run something that needs the stored keys; 1 when it cannot have them."""

    async def run(settings: Settings) -> int:
        opened = await open_keys(settings.stores, timeout_s=TIMEOUT_S)
        try:
            return await work(settings, opened)
        finally:
            await opened.store.close()

    return run_with_settings(config, run)
