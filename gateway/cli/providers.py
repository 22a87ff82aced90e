"""`gateway providers`, from a file's name to the table.

Rule: a registry with mistakes is reported like `gateway check` does, not shown in part.
"""

from pathlib import Path

import typer

from gateway.cli.provider_table import print_providers
from gateway.config.load import load_registry
from gateway.config.problems import ConfigError


def list_providers(path: Path | None) -> int:
    """Print the registry as a table; 1 when it cannot be read."""
    try:
        registry = load_registry(path)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        return 1
    return print_providers(registry)
