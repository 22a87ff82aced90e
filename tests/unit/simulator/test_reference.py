"""The reference in the docs is the one the models make."""

from pathlib import Path

import pytest

from gateway.simulator.directive import Directive
from gateway.simulator.reference import BLOCKS, render_fields, render_reference

DOCS = Path(__file__).parents[3] / "docs" / "simulator.md"
REMEDY = "write the output of gateway.simulator.reference.render_reference() into the docs"


@pytest.mark.parametrize("model", [Directive, *(model for _, model in BLOCKS)])
def test_every_field_is_described(model):
    """A field without a description would be a riddle in the table."""
    rows = render_fields(model).splitlines()[2:]

    assert len(rows) == len(model.__struct_fields__)
    assert all(row.count(" | ") >= 3 and not row.endswith("|  |") for row in rows)


def test_the_docs_hold_the_reference():
    """What the docs say of a field is what the model says."""
    assert render_reference().strip() in DOCS.read_text("utf-8"), REMEDY
