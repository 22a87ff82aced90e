"""Sums of the ledger as people read them.

Rule: a number is shown whole. Where a terminal has no room for all columns, those that are 0
everywhere are left out; where that is not enough, each sum is a list.
"""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from gateway.cli.tables import FRAME_WIDTH, WIDE, add_row, find_console, print_list
from gateway.ledger.usage import NUMBERS, numbers_of
from gateway.stores.ledger import UsageQuery, UsageRow

ALWAYS: Final = frozenset({"requests", "tokens_in", "tokens_out", "cost_usd"})
NAME_WIDTH: Final = 16  # longer names are folded before a column is left out


def print_usage(
    query: UsageQuery, rows: Sequence[UsageRow], console: Console | None = None
) -> None:
    """Print one line for each sum, or one list where lines would be too long."""
    numbers = [dict(zip(NUMBERS, numbers_of(row), strict=True)) for row in rows]
    # Where there is no terminal nobody's line is too short.
    console = console or find_console(max(WIDE, _width(query, rows, numbers, NUMBERS)))
    busy = [n for n in NUMBERS if n in ALWAYS or any(float(one[n]) for one in numbers)]
    for columns in (list(NUMBERS), busy):
        if _width(query, rows, numbers, columns) <= console.width:
            console.print(_make_table(query, rows, numbers, columns))
            return
    for row, shown in zip(rows, numbers, strict=True):
        lines = [*zip(query.by, row.of, strict=True), *shown.items()]
        print_list(console, [(_heading(heading, " "), value) for heading, value in lines])


def _width(
    query: UsageQuery,
    rows: Sequence[UsageRow],
    numbers: Sequence[dict[str, str]],
    columns: Sequence[str],
) -> int:
    """How wide a table has to be, with names folded."""
    widths = [
        max(map(len, [*_heading(name).split("\n"), *(one[name] for one in numbers)]))
        for name in columns
    ]
    for place, heading in enumerate(query.by):
        longest = max(map(cell_len, [heading, *(row.of[place] for row in rows)]))
        widths.append(min(longest, NAME_WIDTH))
    return 1 + sum(width + FRAME_WIDTH for width in widths)


def _make_table(
    query: UsageQuery,
    rows: Sequence[UsageRow],
    numbers: Sequence[dict[str, str]],
    columns: Sequence[str],
) -> Table:
    table = Table()
    for heading in query.by:
        table.add_column(heading, overflow="fold")
    for name in columns:
        table.add_column(_heading(name), justify="right", no_wrap=True)
    for row, shown in zip(rows, numbers, strict=True):
        add_row(table, (*row.of, *(shown[name] for name in columns)))
    return table


def _heading(name: str, between: str = "\n") -> str:
    return name.replace("_usd", " usd").replace("_", between)
