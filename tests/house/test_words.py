"""The words of the project: those it does not use as names, and those it does not use at all.

The rule here: patterns are put together from pieces, so that this file does not hold what it bans.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import name_of, nodes_of, project_files, python_files

NAMES = {"util", "helper", "common", "base", "manager", "data", "info", "process"}
SECOND_VERSION = re.compile(r"_v\d+$")

# A lock or a document that names a registry sends everybody there, also who has a mirror.
REGISTRIES = [
    ("py", r"pi\.org"),
    ("python", r"hosted\."),
    ("np", r"mjs\.(org|com)"),
    ("crates", r"\.io"),
    ("proxy", r"\.golang"),
    ("deb", r"\.debian\."),
]
# One machine's directories mean nothing on another.
MACHINE_PATHS = [
    (r"(?<![\w.*~/-])/", r"(home|Users)/[a-z]\w+/"),
    (r"(?<![\w.*~/-])/", r"root/"),
    (r"(?<![\w.*~/-])/", r"work/"),
    ("bash", "_jobs"),
]
# The repository speaks of the gateway, not of how it came about.
WORKPLACE = [("sub", "-?agents?"), ("co-", "authored-by"), ("generated", " with"), ("farm", "-")]


def words(name: str) -> set[str]:
    """The words of a CamelCase or snake_case name, without a plural s."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return {part.lower().removesuffix("s") if len(part) > 4 else part.lower() for part in parts}


def banned(name: str) -> bool:
    """Say whether a name says nothing."""
    return not words(name).isdisjoint(NAMES) or SECOND_VERSION.search(name) is not None


def defined(path: Path) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every class and function of a file."""
    for node in nodes_of(path):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the project."""
    for path in project_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield name_of(path), content.decode("utf-8", errors="replace")


def test_no_module_bears_a_name_that_says_nothing() -> None:
    """The list of files is the table of contents: a drawer for odds and ends is not a chapter."""
    modules = [path for path in python_files() if path.stem != "__init__"]

    assert [name_of(path) for path in modules if banned(path.stem)] == []


def test_no_class_or_function_bears_a_name_that_says_nothing() -> None:
    """A name is the shortest description there is."""
    # Functions: the bare word only; `data_received` is asyncio's name, `base_url` the field's.
    found = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in python_files()
        for node in defined(path)
        if (banned(node.name) if isinstance(node, ast.ClassDef) else node.name in NAMES)
        or SECOND_VERSION.search(node.name)
    ]

    assert found == []


@pytest.mark.parametrize("pieces", [*REGISTRIES, *MACHINE_PATHS, *WORKPLACE], ids="".join)
def test_no_file_speaks_of_one_machine_registry_or_workplace(pieces: tuple[str, str]) -> None:
    """The repository is the same for everybody who clones it."""
    pattern = re.compile("".join(pieces), re.IGNORECASE)

    found = [
        f"{name}:{number} {line.strip()[:100]}"
        for name, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []
