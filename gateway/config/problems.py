"""Mistakes in a configuration file, and how one is printed.

Rule: a problem names its place and what would be right; it never quotes a value.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import override

KeyPath = tuple[str | int, ...]

PLAIN_KEY = re.compile(r"[A-Za-z0-9_./-]{1,200}")


def render_path(path: KeyPath) -> str:
    """Return a path as an operator would say it: `providers.groq.models[0].id`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        # A key may hold anything; a line break in it must not forge a second line of output.
        name = step if PLAIN_KEY.fullmatch(step) else json.dumps(step[:200])
        text += f".{name}" if text else name
    return text


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, what is wrong, what would be right."""

    file: str
    line: int
    column: int
    path: str
    message: str

    @override
    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.path}: {self.message}" if self.path else self.message)


class ConfigError(Exception):
    """A configuration that cannot be used, with all its mistakes in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda found: (found.file, found.line, found.column))
        )
        super().__init__("\n".join(map(str, self.problems)))
