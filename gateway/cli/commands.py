"""Running a command by its name.

The rule here: this file imports typer, and of the gateway what imports without looking for garbage.
What a command needs is imported when that command runs, through the one table below.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from gateway.core.collector import nothing_collected

COMMANDS = {  # where each command is
    "chat": "gateway.cli.chat:chat",
    "check": "gateway.cli.check:check",
    "credentials delete": "gateway.cli.credentials:delete_credential",
    "credentials list": "gateway.cli.credentials:list_credentials",
    "credentials set": "gateway.cli.credentials:set_credential",
    "db backup": "gateway.cli.db:back_up",
    "db check": "gateway.cli.db:check",
    "db upgrade": "gateway.cli.db:upgrade",
    "healthcheck": "gateway.cli.healthcheck:check_health",
    "init": "gateway.cli.init:init",
    "keys create": "gateway.cli.keys:create",
    "keys disable": "gateway.cli.keys:disable",
    "keys list": "gateway.cli.keys:list_keys",
    "keys reencrypt": "gateway.cli.credentials:reencrypt",
    "keys rotate": "gateway.cli.keys:rotate",
    "keys show": "gateway.cli.keys:show",
    "keys test": "gateway.cli.keys:try_key",
    "keys test providers": "gateway.cli.try_credentials:try_credentials",
    "logs": "gateway.cli.logs:show_logs",
    "providers": "gateway.cli.providers:list_providers",
    "schema": "gateway.cli.check:print_schema",
    "serve": "gateway.cli.serve:serve",
    "simulate": "gateway.cli.simulate:simulate",
    "usage": "gateway.cli.usage:show_usage",
}

FLAG = ""  # of an option that takes no value; typer writes `<bool>`, as if one had to follow


def _check_format(value: str) -> str:
    if value not in {"table", "json"}:
        raise typer.BadParameter("needs to be `table` or `json`")
    return value


ConfigOption = Annotated[
    Path | None, typer.Option(help="Settings file. Default: ./gateway.yaml, if there is one.")
]
ProvidersOption = Annotated[
    Path | None,
    typer.Option(
        help="Providers file. Default: ./providers.yaml, or the one that comes with the gateway."
    ),
]
FormatOption = Annotated[
    str,
    typer.Option("--format", help="`table`, or `json` for programs.", callback=_check_format),
]


def run(command: str, **arguments: Any) -> None:  # noqa: ANN401 - whatever that command takes
    """Run a command of the table and exit with its code."""
    _refuse_gone_directory()
    module, _, name = COMMANDS[command].partition(":")
    function: Callable[..., int] = getattr(_load(module), name)
    raise typer.Exit(function(**arguments))


def _refuse_gone_directory() -> None:
    """End with a sentence where no file can be looked for in the current directory."""
    try:
        Path.cwd()
    except FileNotFoundError:
        typer.echo(
            "The current directory has been deleted; change to another one.",
            err=True,
        )
        raise typer.Exit(1) from None


def _load(module: str) -> ModuleType:
    """Import what a command needs."""
    if module in sys.modules:
        return sys.modules[module]
    with nothing_collected():
        return importlib.import_module(module)
