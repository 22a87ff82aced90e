"""Tests of the published schemas."""

from pathlib import Path

import pytest

from gateway.config.schemas import registry_schema, render_schema, settings_schema

PUBLISHED = Path(__file__).parents[3] / "docs" / "schemas"


@pytest.mark.parametrize(
    ("name", "render"), [("providers", registry_schema), ("gateway", settings_schema)]
)
def test_the_published_schema_is_current(name: str, render: object) -> None:
    """An editor would mark a new field as wrong. `gateway check --schema NAME` writes the text."""
    assert callable(render)
    published = (PUBLISHED / f"{name}.schema.json").read_text("utf-8")

    assert published == render_schema(render())


def test_a_providers_name_is_its_key_in_the_schema_too() -> None:
    """Two lines must be valid in an editor."""
    provider = registry_schema()["$defs"]["Provider"]

    assert provider["required"] == ["base_url"]
    assert "name" not in provider["properties"]


def test_every_field_of_both_files_is_described() -> None:
    """The description is the documentation: in the editor, in the README, in messages."""
    for schema in (registry_schema(), settings_schema()):
        for block in [schema, *schema["$defs"].values()]:
            for name, field in block.get("properties", {}).items():
                # A $ref with the same words as the block it leads to does not repeat them.
                assert field.get("description") or "$ref" in field, name
