"""The pages about the inside name what is there.

The rule here: a file that moved takes its name along into every page.
"""

import ast
import re
import tomllib

import pytest

from tests.docs.pages import ROOT, pages, read, table_rows

# A path of the project in a page, as code: `gateway/wire/sse.py`, `tests/golden/config`. On pages
# about proxies `gateway/site.conf` is one of theirs.
OURS = re.compile(r"`((?:gateway|tests|deploy|docs|bench|scripts)/(?![\w-]+\.conf`)[\w./-]+)`")

WRITTEN_LATER = ("bench/results/",)
# What the docstring of a package may name besides modules: a block of gateway.yaml.
BLOCKS = {"auth"}


@pytest.mark.parametrize("page", pages())
def test_files_that_are_named_are_there(page: str) -> None:
    """A page that sends its reader to nowhere costs more than none."""
    named = [path for path in OURS.findall(read(page)) if path not in WRITTEN_LATER]

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_package_is_on_the_map_in_the_order_of_the_imports() -> None:
    """Whoever knows the order knows what a file may import, and which others may import it."""
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    ranks = {
        module.strip(): rank for rank, layer in enumerate(layers) for module in layer.split("|")
    }
    packages = {f"gateway.{path.parent.name}" for path in (ROOT / "gateway").glob("*/__init__.py")}

    shown = [
        row.strip("`").removesuffix(".py").replace("/", ".")
        for row in table_rows("docs/inside/map.md", "packages")
    ]
    assert set(shown) == packages | {"gateway.app"} == set(ranks)
    assert shown == sorted(shown, key=ranks.__getitem__)


def test_modules_that_a_package_names_are_there() -> None:
    """What a package says of itself is the first thing that is read of it."""
    there = {path.stem for path in (ROOT / "gateway").rglob("*.py")} | BLOCKS

    for init in (ROOT / "gateway").glob("**/__init__.py"):
        said = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
        assert set(re.findall(r"`([a-z_]+)`", said)) <= there, init
