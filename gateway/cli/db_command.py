"""`gateway db …`: the names and options of its commands.

The rule here: this file imports typer alone, as `main` does.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.commands import ConfigOption, run

app = typer.Typer(
    help="Upgrade, check and back up the database of keys, credentials and the ledger.",
    no_args_is_help=True,
)


@app.command()
def upgrade(config: ConfigOption = None) -> None:
    """Upgrade the tables to the version that this gateway needs."""
    run("db upgrade", config=config)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check whether the database can be used; exit 1 if it cannot."""
    run("db check", config=config)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")],
    config: ConfigOption = None,
) -> None:
    """Copy an SQLite database while it is in use."""
    run("db backup", file=file, config=config)
