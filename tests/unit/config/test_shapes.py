"""Tests of reading annotations."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr

from gateway.config.provider_blocks import Model
from gateway.config.registry import Provider, RegistryFile
from gateway.config.shapes import inside, models_in, shape_of


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "text"),
        (SecretStr | None, "text"),
        (bool, "true or false"),
        (Annotated[int, Field(gt=0)], "whole number"),
        (int | float, "number"),
        (Decimal | None, "number"),
        (Path, "path"),
        (Literal["a", "b"], "`a` or `b`"),
        (tuple[str, ...], "list of text"),
        (tuple[Model, ...], "list of blocks"),
        (dict[str, int], "block"),
        (object, "anything"),
    ],
)
def test_a_type_is_said_in_words(annotation: object, words: str) -> None:
    """Operators write YAML, not Python."""
    assert shape_of(annotation) == words


def test_the_way_down_leads_through_blocks_and_lists() -> None:
    """Nearest names are looked for among the fields of the right block."""
    entry = inside(inside(RegistryFile, "providers"), "groq")
    model = inside(inside(entry, "models"), 3)

    assert list(models_in(entry)) == [Provider]
    assert list(models_in(model)) == [Model]


def test_a_step_that_is_no_field_leads_nowhere_else() -> None:
    """Error locations hold the names of union members too."""
    assert inside(Provider, "nothing") is Provider
