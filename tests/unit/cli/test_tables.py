"""Tables of the command line."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from gateway.cli.tables import WIDE, add_row, find_console, print_table


def printed(*rows: tuple[str, ...], width: int = 40) -> str:
    """A table of two columns, as it comes out."""
    text = io.StringIO()
    print_table(("name", "says"), rows, Console(file=text, width=width))
    return text.getvalue()


def test_a_row_stands_for_each() -> None:
    """In their order, below the headings."""
    lines = printed(("alice", "yes"), ("bob", "no")).splitlines()

    assert [line.split()[1::2] for line in lines if "│" in line or "┃" in line] == [
        ["name", "says"],
        ["alice", "yes"],
        ["bob", "no"],
    ]


def test_a_cell_is_no_markup() -> None:
    """A name may have square brackets in it, and rich would take them away."""
    assert "[bold]x[/bold]" in printed(("a", "[bold]x[/bold]"))


def test_what_is_too_long_is_folded_and_not_cut() -> None:
    """Half of a name finds nothing."""
    folded = printed(("x" * 30, "z" * 30))

    assert (folded.count("x"), folded.count("z")) == (30, 30)


def test_without_a_terminal_lines_are_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has no width, and a program reads lines."""
    monkeypatch.setattr("sys.stdout", io.StringIO())

    assert (find_console().width, find_console(300).width) == (WIDE, 300)


def test_rows_are_plain_in_a_table_of_ones_own() -> None:
    """Columns may have been added before."""
    table, text = Table("name"), io.StringIO()

    add_row(table, ["[x]"])
    Console(file=text, width=40).print(table)

    assert "[x]" in text.getvalue()
