"""`gateway check`: are these configuration files right.

Rule: every mistake has a line of its own, `file:line:column: path: message`; editors jump to those.
"""

from collections.abc import Sequence
from pathlib import Path

import typer

from gateway.config.load import REGISTRY_FILE, SETTINGS_FILE, check_file
from gateway.config.problems import ConfigError
from gateway.config.registry import RegistryFile
from gateway.config.schemas import registry_schema, render_schema, settings_schema
from gateway.config.settings import Settings
from gateway.limits.unpriced import find_unpriced

SCHEMAS = {"providers": registry_schema, "gateway": settings_schema}


def check(files: Sequence[Path]) -> int:
    """Print every mistake in the files, or in those of this directory; 0 when there is none."""
    chosen = list(files) or [path for path in (REGISTRY_FILE, SETTINGS_FILE) if path.exists()]
    if not chosen:
        typer.echo(f"No {REGISTRY_FILE} and no {SETTINGS_FILE} here; `gateway init` writes them.")
        return 0
    mistakes = 0
    right: list[RegistryFile | Settings] = []
    for path in chosen:
        try:
            right.append(check_file(path))
        except ConfigError as error:
            mistakes += len(error.problems)
            for problem in error.problems:
                typer.echo(str(problem))
        else:
            typer.echo(f"{path}: no mistakes", err=True)
    for sentence in _foresee(right):
        typer.echo(sentence, err=True)
    return 1 if mistakes else 0


def _foresee(files: Sequence[RegistryFile | Settings]) -> list[str]:
    """What is no mistake in either file, and will surprise somebody in both together."""
    providers = {
        name: provider
        for file in files
        if isinstance(file, RegistryFile)
        for name, provider in file.providers.items()
    }
    rules = [rule for file in files if isinstance(file, Settings) for rule in file.rules]
    return find_unpriced(rules, providers)


def print_schema(which: str) -> int:
    """Print the JSON Schema of `providers` or `gateway`, for an editor to complete from."""
    typer.echo(render_schema(SCHEMAS[which]()), nl=False)
    return 0
