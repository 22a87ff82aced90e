"""The programs in `examples/`, run as their page says.

The rule here: an example also has to notice an answer that breaks off.
"""

import subprocess
from pathlib import Path

import pytest

from tests.docs.conftest import Checkout, CheckoutOf
from tests.docs.pages import ROOT, table_rows

PAGE = "examples/README.md"


@pytest.fixture
def checkout(checkout_of: CheckoutOf) -> Checkout:
    """Give the checkout in which the examples are."""
    return checkout_of(PAGE)


def run(checkout: Checkout, *program: str, model: str) -> subprocess.CompletedProcess[str]:
    """Run an example that asks the demo provider for a model."""
    return checkout.run(*program, "http://127.0.0.1:8080", "demo", model)


def test_every_example_is_on_its_page() -> None:
    """A file without a word about it is not an example."""
    files = {path.name for path in (ROOT / "examples").iterdir() if path.suffix != ".md"}

    assert set(table_rows(PAGE, "file")) == {name for name in files if not name.startswith("_")}


def test_the_python_example_notices_a_broken_answer(checkout: Checkout) -> None:
    """The gateway never makes half an answer look whole; a careless client still can."""
    done = run(checkout, "python3", "examples/text_stream.py", model="cut")

    assert done.stdout.startswith("This is a")
    assert done.returncode == 1
    assert "finished" not in done.stdout


def test_the_python_example_shows_the_gateways_sentence(checkout: Checkout) -> None:
    """The message is written for people."""
    done = run(checkout, "python3", "examples/text_stream.py", model="not-found")

    assert done.returncode == 1
    assert done.stderr.startswith("404 ")


def test_the_javascript_example_knows_whole_from_broken(
    checkout: Checkout, node_path: Path
) -> None:
    """What a browser does with a cut stream is what Node does."""
    whole = run(checkout, str(node_path), "examples/text_stream.mjs", model="plain")
    broken = run(checkout, str(node_path), "examples/text_stream.mjs", model="cut")

    assert whole.returncode == 0
    assert whole.stdout.endswith("finished\n")
    assert broken.returncode != 0
    assert "finished" not in broken.stdout
