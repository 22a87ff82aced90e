"""Tests of the tables for the documentation."""

import re

import pytest

from gateway.config.reference import provider_table, settings_table


def rows(table: str) -> dict[str, list[str]]:
    """Return the cells of a table by the field they are about."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()[2:]]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_the_required_field_comes_first() -> None:
    """Whoever adds a provider begins there."""
    table = rows(provider_table())

    assert next(iter(table)) == "base_url"
    assert table["base_url"][1] == "required"
    assert "name" not in table


@pytest.mark.parametrize(
    ("field", "shape", "default"),
    [
        ("timeouts.first_content_s", "number", "`120`"),
        ("params.send", "list of `temperature` or `max_tokens`", '`["temperature"]`'),
        ("models[].price_in_usd_per_mtok", "number", ""),
        ("env", "text", "`<NAME>_API_KEY`"),
        ("allow_private", "true or false", "`false`"),
    ],
)
def test_a_field_shows_its_type_and_its_default(field: str, shape: str, default: str) -> None:
    """The two things one looks up."""
    assert rows(provider_table())[field][:2] == [shape, default]


@pytest.mark.parametrize("table", [provider_table(), settings_table()])
def test_every_row_is_whole(table: str) -> None:
    """A stray bar or line break would shift the columns."""
    lines = table.splitlines()

    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}
    assert all(cells[2] for cells in rows(table).values())


def test_settings_show_the_blocks_of_a_list() -> None:
    """The methods of authentication are members of a list."""
    table = rows(settings_table())

    assert table["server.port"][1] == "`8080`"
    assert "auth[].keys" in table
    assert "middleware[].after" in table
