"""No function and no file is longer than a reader can hold.

The rule here: lines of code are counted, not the ones for docstrings, comments or air.
"""

import ast
from functools import cache
from pathlib import Path

from tests.house.tree import name_of, nodes_of, python_files

FUNCTION_LINES = 50
USUAL_FUNCTION_LINES = 30
USUAL_SHARE = 0.95
FILE_LINES = 500


def code_lines(path: Path) -> set[int]:
    """The numbers of the lines that hold code."""
    written = enumerate(path.read_bytes().splitlines(), 1)
    # What the standard library's tokenizer says, in a fifth of its time.
    lines = {at for at, line in written if line.strip() and not line.lstrip().startswith(b"#")}
    for node in nodes_of(path):
        if isinstance(node, ast.Constant | ast.JoinedStr):  # a text may hold what looks like air
            lines.update(range(node.lineno, (node.end_lineno or 0) + 1))
    for node in nodes_of(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


@cache
def functions(path: Path) -> tuple[tuple[str, int], ...]:
    """Every function of a file and its lines of code."""
    lines = code_lines(path)
    return tuple(
        (
            f"{name_of(path)}:{node.lineno} {node.name}",
            len(lines.intersection(range(node.lineno, (node.end_lineno or node.lineno) + 1))),
        )
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_no_function_is_longer_than_a_screen() -> None:
    """What does not fit on a screen is read in pieces, and misread."""
    found = [pair for path in python_files() for pair in functions(path)]

    assert [(name, lines) for name, lines in found if lines > FUNCTION_LINES] == []


def test_functions_are_short_as_a_rule() -> None:
    """The exceptions stay exceptions."""
    found = [pair for path in python_files("gateway") for pair in functions(path)]
    longer = [(name, lines) for name, lines in found if lines > USUAL_FUNCTION_LINES]

    assert len(longer) <= len(found) * (1 - USUAL_SHARE), longer


def test_no_file_is_too_long_to_read_at_once() -> None:
    """One concept per file: a file of this length holds two."""
    lengths = {name_of(path): len(path.read_bytes().splitlines()) for path in python_files()}

    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}
