"""Where an operator's modules are found: theirs first, whatever else bears the same name.

The rule here: that holds for the modules which gateway.yaml names and for nothing else, so a file
beside it takes the place of no module that the gateway itself goes by.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from typing_extensions import override

# Names that nobody's file is found by first: Python's own, ours, and what we import, some of it
# late. (What is imported already is looked for by nobody again.)
RESERVED = sys.stdlib_module_names | {
    "aiohappyeyeballs",
    "aiohttp",
    "aiosqlite",
    "alembic",
    "asyncpg",
    "cryptography",
    "gateway",
    "google",
    "httptools",
    "httpx2",
    "jwt",
    "msgspec",
    "multidict",
    "openai",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "redis",
    "rich",
    "sqlalchemy",
    "structlog",
    "typer",
    "typing_extensions",
    "uvloop",
    "yaml",
    "yarl",
}


def places_of(settings_file: Path) -> list[Path]:
    """Where an operator's modules are: beside that file, beside what it is a link to, and here."""
    # Kubernetes mounts a file of a ConfigMap as a link; a module may lie on either side of it.
    return [settings_file.parent, settings_file.resolve().parent, Path.cwd()]


def look_in(directories: Iterable[Path], uses: Iterable[str]) -> None:
    """Have what `module:name` speaks of found in these directories, the first of them first.

    What such a module imports in its turn is found there as well, after all that is installed.
    """
    paths = list(dict.fromkeys(str(directory.resolve()) for directory in directories))
    # At the end: a file called json.py in the working directory must not become `json`.
    sys.path.extend(path for path in paths if path not in sys.path)
    sys.meta_path.insert(0, OwnFirst(paths, [use.partition(":")[0] for use in uses]))


class OwnFirst(MetaPathFinder):
    """Finds modules of these names in the operator's directories before anywhere else.

    A package that lies in several places is one, so that a directory `plugins` of the operator's
    and one that is installed can both be used.
    """

    def __init__(self, directories: Sequence[str], modules: Iterable[str]) -> None:
        self._directories = directories
        self._modules = frozenset(modules)
        self._names = {name.partition(".")[0] for name in self._modules} - RESERVED

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """One spec for all that is there of this name; None leaves it to the other finders."""
        if fullname.partition(".")[0] not in self._names:
            return None
        found = list(_find_each(fullname, self._directories if path is None else path))
        if not found:
            return None
        if path is None:
            found += _find_elsewhere(fullname)
        is_package = fullname not in self._modules and any(
            module.startswith(f"{fullname}.") for module in self._modules
        )
        return _join(found, is_package=is_package)


def _find_each(fullname: str, places: Iterable[str]) -> Iterator[ModuleSpec]:
    for place in places:
        spec = PathFinder.find_spec(fullname, [place])
        if spec is not None:
            yield spec


def _find_elsewhere(fullname: str) -> Iterator[ModuleSpec]:
    others = (finder for finder in sys.meta_path if not isinstance(finder, OwnFirst))
    for finder in others:
        spec = finder.find_spec(fullname, None)
        if spec is not None:
            yield spec
            return


def _join(found: Sequence[ModuleSpec], *, is_package: bool) -> ModuleSpec:
    """The first that has code, looking for its submodules wherever any of them lies."""
    packages = [spec for spec in found if spec.submodule_search_locations is not None]
    # A mere directory has no code (PEP 420), and may be there for something else.
    usable = packages if is_package and packages else found
    spec = next((spec for spec in usable if spec.loader is not None), usable[0])
    if spec.submodule_search_locations is not None:
        locations = [place for one in packages for place in one.submodule_search_locations or ()]
        spec.submodule_search_locations = list(dict.fromkeys(locations))
    return spec
