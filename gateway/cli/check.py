"""`gateway check`: are these configuration files right.

Rule: every mistake has a line of its own, `file:line:column: path: message`; editors jump to those.
"""

from collections.abc import Sequence
from pathlib import Path

import typer

from gateway.config.load import REGISTRY_FILE, SETTINGS_FILE, check_file
from gateway.config.problems import ConfigError
from gateway.config.schemas import registry_schema, render_schema, settings_schema

SCHEMAS = {"providers": registry_schema, "gateway": settings_schema}


def check(files: Sequence[Path]) -> int:
    """Print every mistake in the files, or in those of this directory; 0 when there is none."""
    chosen = list(files) or [path for path in (REGISTRY_FILE, SETTINGS_FILE) if path.exists()]
    if not chosen:
        typer.echo(f"No {REGISTRY_FILE} and no {SETTINGS_FILE} here; `gateway init` writes them.")
        return 0
    mistakes = 0
    for path in chosen:
        try:
            check_file(path)
        except ConfigError as error:
            mistakes += len(error.problems)
            for problem in error.problems:
                typer.echo(str(problem))
        else:
            typer.echo(f"{path}: no mistakes", err=True)
    return 1 if mistakes else 0


def print_schema(which: str) -> int:
    """Print the JSON Schema of `providers` or `gateway`, for an editor to complete from."""
    typer.echo(render_schema(SCHEMAS[which]()), nl=False)
    return 0
