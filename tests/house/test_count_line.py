"""The last line of `make test` is read by machines: it must be there, last, and true.

The rule here: pytest itself is run, on a suite with every kind of outcome.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

SUITE = """
import pytest

@pytest.fixture
def broken():
    raise ValueError

@pytest.fixture
def leaking():
    yield
    raise ValueError

def test_passes(): pass
def test_also_passes(): pass
def test_fails(): assert False
def test_cannot_be_set_up(broken): pass
def test_cannot_be_torn_down(leaking): pass
def test_is_skipped(): pytest.skip("nginx is not installed")
"""


def run(directory: Path, *arguments: str) -> list[str]:
    """Run pytest in a directory and give the lines of its output."""
    plugins = ["-p", "tests.plugins.count", "-p", "xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *arguments, "."],
        cwd=directory,
        # The other plugins take a second to load, in each of these processes.
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_every_test_is_in_the_last_line_once(tmp_path: Path, workers: str) -> None:
    """Set-up and tear-down errors are failures, whichever process saw them."""
    (tmp_path / "test_all.py").write_text(SUITE, encoding="utf-8")

    lines = run(tmp_path, "-n", workers)

    assert lines[-1] == "2 passed, 3 failed, 1 skipped"


def test_a_module_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    """Tests that were never collected must not leave a clean line behind."""
    (tmp_path / "test_broken.py").write_text("import nowhere_to_be_found", encoding="utf-8")
    (tmp_path / "test_fine.py").write_text("def test_passes(): pass", encoding="utf-8")

    assert run(tmp_path)[-1] == "0 passed, 1 failed, 0 skipped"
