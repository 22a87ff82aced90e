"""Credentials as people read them.

Rule: of a credential the last four characters are shown, and of a short one none.
"""

from collections.abc import Sequence

from rich.console import Console

from gateway.cli.tables import print_table
from gateway.core.durations import render_time
from gateway.stores.credentials import StoredCredential

COLUMNS = ("owner", "field", "ending", "set", "last worked", "last failed", "sealed with")


def print_credentials(
    rows: Sequence[tuple[StoredCredential, str | None]], console: Console | None = None
) -> None:
    """Print one row for each credential; each comes with its last characters."""
    print_table(COLUMNS, (_cells(stored, ending) for stored, ending in rows), console)


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
