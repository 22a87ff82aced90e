"""The line that has a gateway read its settings anew.

The rule here: the line is asked whom it means, and never run: others run here too.
"""

import re

from tests.docs.conftest import CheckoutOf
from tests.docs.pages import ROOT, read
from tests.plugins.programs import find_program

PAGE = "docs/operate/logs.md"


def test_the_line_means_a_gateway_of_a_clone(checkout_of: CheckoutOf) -> None:
    """Such a process is called python, so its name alone is not enough to find it."""
    found = re.search(r"^pkill -HUP (?P<whom>.+?) +#", read(PAGE), re.MULTILINE)
    assert found is not None
    find_program("pgrep", install="apt install procps")
    checkout = checkout_of(PAGE)

    meant = checkout.run("sh", "-c", f"exec pgrep {found['whom']}").stdout.split()

    assert str(checkout.pid) in meant


def test_the_line_names_the_unit_that_ships() -> None:
    """Of another one systemd says that it was not found."""
    named = re.findall(r"systemctl reload (\S+?)`", read(PAGE))

    assert named
    for unit in named:
        assert (ROOT / "deploy" / "systemd" / f"{unit}.service").is_file(), unit
