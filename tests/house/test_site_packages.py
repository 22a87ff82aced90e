"""Nothing runs in the gateway's interpreter before the gateway does.

The rule here: what Python executes at its start by itself is listed, and nothing else is there.
"""

import sysconfig
from pathlib import Path

SITE_PACKAGES = {Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))}

# Python 3.11's own venv brings setuptools, and that this shim for distutils.
EXPECTED = {"distutils-precedence.pth"}


def test_no_package_runs_code_at_every_start_of_python() -> None:
    """This is how LiteLLM's packages of March and October 2026 stole credentials."""
    found = {path.name for directory in SITE_PACKAGES for path in directory.glob("*.pth")}

    assert found - EXPECTED == set()


def test_no_package_customises_the_interpreter() -> None:
    """`site` imports these two by name, whoever put them there."""
    names = ("sitecustomize", "usercustomize")
    found = [
        path.name
        for directory in SITE_PACKAGES
        for path in directory.iterdir()
        if path.name.split(".")[0] in names
    ]

    assert found == []
