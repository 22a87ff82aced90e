"""`gateway db …`: the names and options of its commands.

The rule here: this file imports typer alone, as `main` does.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.commands import ConfigOption, run

app = typer.Typer(
    help="Look after the database that keys, credentials and the ledger are in.",
    no_args_is_help=True,
)


@app.command()
def upgrade(config: ConfigOption = None) -> None:
    """Bring the tables to the version of this gateway."""
    run("db upgrade", config=config)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Say whether the database can be used; exit 1 when it cannot."""
    run("db check", config=config)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; must not be there yet.")],
    config: ConfigOption = None,
) -> None:
    """Copy an SQLite database while it is in use."""
    run("db backup", file=file, config=config)
