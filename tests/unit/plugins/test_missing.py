"""Tests of looking for a module without importing it."""

from pathlib import Path

import pytest

from gateway.plugins.missing import find_missing


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Modules that would end the test if they were imported."""
    for name in (
        "alone_here.py",
        "packed_here/__init__.py",
        "packed_here/inner.py",
        "open_here/a.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("raise SystemExit('imported')\n")
    return tmp_path


@pytest.mark.parametrize(
    "use", ["alone_here:f", "packed_here:f", "packed_here.inner:f", "open_here.a:f", "json.tool:f"]
)
def test_what_is_there_is_found_and_not_run(here: Path, use: str) -> None:
    """A check must do nothing; beside gateway.yaml or installed, both are found."""
    assert find_missing(use, [here]) is None


@pytest.mark.parametrize(
    ("use", "missing"),
    [
        ("nosuch_here.mod:f", "nosuch_here"),
        ("packed_here.outer.more:f", "packed_here.outer"),
        ("alone_here.inner:f", "alone_here.inner"),
    ],
)
def test_what_is_not_there_is_named(here: Path, use: str, missing: str) -> None:
    """As far as it is there, the way to it is right."""
    assert find_missing(use, [here]) == missing


def test_a_package_in_several_places_is_one(tmp_path: Path) -> None:
    """As at the start: the operator's `plugins` and the one that is there already."""
    for name in ("a", "b"):
        (tmp_path / name / "spread_here").mkdir(parents=True)
        (tmp_path / name / "spread_here" / f"in_{name}.py").touch()
    places = [tmp_path / "a", tmp_path / "b"]

    assert find_missing("spread_here.in_a:f", places) is None
    assert find_missing("spread_here.in_b:f", places) is None
    assert find_missing("spread_here.in_c:f", places) == "spread_here.in_c"
