"""Whether the module of an operator's middleware is there.

The rule here: nothing of the operator's is imported, so nothing of it runs.
"""

import contextlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, all_suffixes
from pathlib import Path


def find_missing(use: str, directories: Iterable[Path]) -> str | None:
    """The module that `module:name` asks for and is not there; None when all of it is.

    It is looked for where `look_in` finds it: in these directories and among what is installed, and
    a package that lies in several places is one.
    """
    first, *others = use.partition(":")[0].split(".")
    specs = list(_find_specs(first, [str(directory.resolve()) for directory in directories]))
    if not specs:
        return first
    found_in = (spec.submodule_search_locations or () for spec in specs)
    places = [Path(place) for locations in found_in for place in locations]
    for index, part in enumerate(others):
        found = [place / part for place in places if _is_module(place, part)]
        if not found:
            return ".".join([first, *others[: index + 1]])
        places = found
    return None


def _find_specs(name: str, directories: Sequence[str]) -> Iterator[ModuleSpec]:
    found = [PathFinder.find_spec(name, [directory]) for directory in directories]
    with contextlib.suppress(ValueError):  # a module that was put together by hand
        found.append(importlib.util.find_spec(name))
    yield from (spec for spec in found if spec is not None)


def _is_module(place: Path, name: str) -> bool:
    if (place / name).is_dir():
        return True
    return any((place / f"{name}{suffix}").is_file() for suffix in all_suffixes())
