"""An operator's module is found before any other of its name, and takes nobody else's place."""

import ast
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.plugins.finding import RESERVED, look_in, places_of
from tests.house.tree import nodes_of, python_files

Write = Callable[[str], None]


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    """Leave the interpreter as it was."""
    before = list(sys.path), list(sys.meta_path), set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = before[:2]
    for name in set(sys.modules) - before[2]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write modules that say where they are; what is in `installed` is on the path already."""
    sys.path.insert(0, str(tmp_path / "installed"))

    def write_one(name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"WHERE = {name!r}\n")
        importlib.invalidate_caches()

    return write_one


def find(directory: Path, name: str, *names: str) -> str:
    """Where a module comes from, when it and others are named in gateway.yaml."""
    look_in([directory / "beside", directory / "here"], [f"{one}:x" for one in (name, *names)])
    return place_of(name)


def place_of(name: str) -> str:
    """Where a module says that it is."""
    return str(vars(importlib.import_module(name))["WHERE"])


ORDERS = {
    "a module": ("own.py", "own"),
    "a package": ("own/__init__.py", "own"),
    "in a directory": ("own/teams.py", "own.teams"),
    "in a directory of a directory": ("own/more/teams.py", "own.more.teams"),
}


@pytest.mark.parametrize(("file", "name"), ORDERS.values(), ids=ORDERS)
def test_beside_wins_over_here_and_here_over_what_is_installed(
    tmp_path: Path, write: Write, file: str, name: str
) -> None:
    """A clone has a package `plugins` of its own; the operator's may bear that name as well."""
    write(f"installed/{file}")
    write(f"here/{file}")

    assert find(tmp_path, name) == f"here/{file}"

    del sys.modules[name]
    for package in {name.partition(".")[0], name.rpartition(".")[0]} & set(sys.modules):
        del sys.modules[package]
    write(f"beside/{file}")
    assert find(tmp_path, name) == f"beside/{file}"


@pytest.mark.parametrize("mine", ["", "beside/own/__init__.py"], ids=["directory", "package"])
def test_a_package_may_lie_in_several_places(tmp_path: Path, write: Write, mine: str) -> None:
    """What one's own lacks is taken from the other, and what both have is one's own."""
    for file in ("installed/own/__init__.py", "installed/own/hello.py", "installed/own/both.py"):
        write(file)
    for file in filter(None, ("beside/own/teams.py", "beside/own/both.py", mine)):
        write(file)

    assert find(tmp_path, "own.teams", "own.hello") == "beside/own/teams.py"
    assert place_of("own.hello") == "installed/own/hello.py"
    # What a module imports of its own package is looked for in the same order.
    assert place_of("own.both") == "beside/own/both.py"
    assert place_of("own") == (mine or "installed/own/__init__.py")


def test_a_module_does_not_hide_the_package_that_is_asked_for(tmp_path: Path, write: Write) -> None:
    """There is nothing in it that could be meant."""
    for file in ("beside/own.py", "installed/own/__init__.py", "installed/own/hello.py"):
        write(file)

    assert find(tmp_path, "own.hello") == "installed/own/hello.py"


def test_a_mere_directory_does_not_hide_the_module_that_is_asked_for(
    tmp_path: Path, write: Write
) -> None:
    """It may hold anything."""
    write("beside/own/notes.py")
    write("installed/own.py")

    assert find(tmp_path, "own") == "installed/own.py"


def test_what_no_use_speaks_of_is_found_last(tmp_path: Path, write: Write) -> None:
    """A module of the operator's may import others beside it, but none gets in between."""
    for file in ("beside/own.py", "beside/other.py", "installed/other.py", "beside/lonely.py"):
        write(file)

    find(tmp_path, "own")

    assert place_of("other") == "installed/other.py"
    assert place_of("lonely") == "beside/lonely.py"


@pytest.mark.parametrize("name", ["json", "this", "redis", "gateway"])
def test_nobody_s_file_takes_the_place_of_what_the_gateway_goes_by(
    tmp_path: Path, write: Write, name: str
) -> None:
    """A file called json.py must not become `json`, even where somebody asks for it."""
    write(f"beside/{name}.py")
    look_in([tmp_path / "beside"], [f"{name}:x"])
    sys.modules.pop("this", None)
    taken = sys.modules.pop("redis", None)

    try:
        spec = importlib.util.find_spec(name)
    finally:
        if taken is not None:
            sys.modules["redis"] = taken

    assert spec is not None
    assert spec.origin is not None
    assert not Path(spec.origin).is_relative_to(tmp_path)
    assert json.loads("1") == 1


def test_all_that_the_gateway_imports_is_reserved() -> None:
    """Some of it is imported only when it is needed, long after the operator's modules."""
    imported = set()
    for path in python_files("gateway"):
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").partition(".")[0])

    assert imported - RESERVED == set()


def test_beside_a_link_is_before_beside_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes mounts each file of a ConfigMap as a link."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/gateway.yaml").touch()
    (tmp_path / "gateway.yaml").symlink_to("mounted/gateway.yaml")

    assert places_of(Path("gateway.yaml")) == [Path(), tmp_path.resolve() / "mounted", Path.cwd()]


def test_a_place_is_looked_in_once(tmp_path: Path) -> None:
    """And after all that is installed, for what an operator's module imports."""
    look_in([tmp_path, tmp_path], [])
    look_in([tmp_path], [])

    assert sys.path.index(str(tmp_path.resolve())) > 0
    assert sys.path.count(str(tmp_path.resolve())) == 1
