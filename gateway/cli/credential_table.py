"""Credentials as people read them.

Rule: of a credential the last four characters are shown, and of a short one none.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.providers import WIDE
from gateway.core.durations import render_time
from gateway.stores.credentials import StoredCredential

COLUMNS = ("owner", "field", "ending", "set", "last worked", "last failed", "sealed with")


def print_credentials(
    rows: Sequence[tuple[StoredCredential, str | None]], console: Console | None = None
) -> None:
    """Print one row for each credential; each comes with its last characters."""
    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDE)
    table = Table()
    for heading in COLUMNS:
        table.add_column(heading, overflow="fold")
    for stored, ending in rows:
        # As plain text: a square bracket in a name would be read as markup.
        table.add_row(*map(Text, _cells(stored, ending)))
    console.print(table)


def _cells(stored: StoredCredential, ending: str | None) -> tuple[str, ...]:
    return (
        stored.owner,
        stored.field,
        "" if ending is None else f"…{ending}",
        render_time(stored.set_at) or "",
        render_time(stored.worked_at) or "never",
        render_time(stored.failed_at) or "never",
        f"key {stored.envelope.key}",
    )
