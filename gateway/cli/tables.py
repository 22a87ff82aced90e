"""Tables on a terminal, or where there is none.

Rule: a cell is plain text, whatever stands in it; where nobody's line is too short, it is whole.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 160  # columns where there is no terminal to ask: a pipe, a log
FRAME_WIDTH = 3  # of a column: a line and two spaces


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], console: Console | None = None
) -> None:
    """Print a row for each of these; what is too long for its column is folded."""
    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        add_row(table, row)
    (console or find_console()).print(table)


def add_row(table: Table, cells: Iterable[str]) -> None:
    """Add cells as plain text: a square bracket in a name would be read as markup."""
    table.add_row(*map(Text, cells))


def find_console(width: int = WIDE) -> Console:
    """The terminal, or a line of this width where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def print_list(console: Console, lines: Iterable[tuple[str, str]]) -> None:
    """Print a heading and a value in each line, for which a table has no room."""
    for heading, shown in lines:
        console.print(Text(f"{heading:<18}{shown}"), soft_wrap=True)
    console.print()
