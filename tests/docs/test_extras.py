"""What pages say to install beside the gateway.

The rule here: a line in any text is judged, also one that is only shown.
"""

import re

import pytest

from gateway.core.extras import EXTRAS
from tests.docs.pages import pages, read, table_rows

INSTALL = re.compile(r"pip install '([^']+)'")


@pytest.mark.parametrize("page", pages())
def test_pages_install_the_packages_of_extras(page: str) -> None:
    """The gateway is at no index, and what somebody puts there under its name is not it."""
    named = set(INSTALL.findall(read(page)))

    assert named <= set(EXTRAS.values())


def test_the_readme_has_every_extra() -> None:
    """One of them that is not there is looked for in vain."""
    lines = {cells[0] for cells in table_rows("README.md", "part").values()}

    assert lines == {f"`pip install '{package}'`" for package in EXTRAS.values()}
