"""What a validator refuses: all that is wrong with a value, each with the way to it.

Rule: a validator collects and refuses once. What it says of one key or item it says at that one, so
that each mistake has a place of its own in the file.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.config.problems import KeyPath, render_path


class Mistake(NamedTuple):
    """One thing that is wrong; `path` leads to it from the value that is validated.

    `at_key`: it is the key, not what stands there. `is_beside`: the path begins in the block around
    the value, where two fields of a block do not go together.
    """

    path: KeyPath
    message: str
    at_key: bool = False
    is_beside: bool = False


class MistakesError(ValueError):
    """Everything that a validator has found."""

    def __init__(self, found: Iterable[Mistake]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(map(_say, self.found)))


def refuse(found: Iterable[Mistake]) -> None:
    """Raise MistakesError when there is one or more."""
    every = tuple(found)
    if every:
        raise MistakesError(every)


def _say(mistake: Mistake) -> str:
    path = render_path(mistake.path)
    return f"{path}: {mistake.message}" if path else mistake.message
