"""What optional parts need, and how it is installed.

The rule here: a line is read as a shell would read it.
"""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.core.extras import EXTRAS, line_that_installs

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
OURS = {"test", "check"}  # of those who change the gateway


def test_extras_are_those_of_the_distribution() -> None:
    """Who installs the wheel with an extra, and who follows the line, get the same."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]

    declared = project["optional-dependencies"]

    assert {name: [package] for name, package in EXTRAS.items()} == {
        name: packages for name, packages in declared.items() if name not in OURS
    }


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_line_installs_packages_beside_this_gateway(extra: str) -> None:
    """A name with brackets unquoted is a pattern to a shell, and the gateway's own a stranger's."""
    words = shlex.split(line_that_installs(extra))

    assert words == [sys.executable, "-m", "pip", "install", EXTRAS[extra]]
