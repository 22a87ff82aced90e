"""Every block of every page does what its page says.

The rule here: no page is excused; a block that cannot be run has a language that says so.
"""

import json
import re
from pathlib import Path

import pytest

from gateway.config.load import check_file
from tests.docs.conftest import CheckoutOf
from tests.docs.pages import Block, all_blocks, matches

# Those of the gateway's two listeners are replaced; any other would be somebody's.
PORT = re.compile(r"127\.0\.0\.1:(?!8080|8081)\d+")


def by_id(block: Block) -> str:
    """Name a block for pytest."""
    return block.id


@pytest.mark.parametrize("block", all_blocks("bash"), ids=by_id)
def test_commands_do_what_the_page_shows(block: Block, checkout_of: CheckoutOf) -> None:
    """The first thing a new user does is to paste a command."""
    checkout = checkout_of(block.page)

    done = checkout.run("bash", "-euo", "pipefail", "-c", block.text)

    assert done.returncode == 0, done.stdout + done.stderr
    printed = checkout.as_on_the_page(done.stdout)
    if block.output is None:
        assert '"error"' not in printed
    else:
        assert matches(block.output, printed), printed


@pytest.mark.parametrize(
    "block", [block for block in all_blocks("python") if block.file is None], ids=by_id
)
def test_programs_run(block: Block, checkout_of: CheckoutOf) -> None:
    """A program in the documentation is copied before it is read."""
    checkout = checkout_of(block.page)

    done = checkout.run(str(checkout.directory / "bin" / "python3"), "-c", block.text)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=by_id)
def test_configuration_has_no_mistakes(block: Block, tmp_path: Path) -> None:
    """What `gateway check` refuses would be refused at the start, after it was copied."""
    name = (
        "providers.yaml" if block.text.lstrip("# \n").startswith("providers:") else "gateway.yaml"
    )
    file = tmp_path / (Path(block.file).name if block.file else name)
    file.write_text(block.text, encoding="utf-8")
    file.chmod(0o644)

    check_file(file)


@pytest.mark.parametrize(
    "block", [block for block in all_blocks("json") if "…" not in block.text], ids=by_id
)
def test_json_is_json(block: Block) -> None:
    """An example that does not parse has a mistake that nobody saw."""
    assert json.loads(block.text) is not None


@pytest.mark.parametrize("block", all_blocks("bash", "python"), ids=by_id)
def test_commands_call_the_gateway_alone(block: Block) -> None:
    """Another port would be another program's, on this machine or on a user's."""
    assert PORT.findall(block.text) == []
