"""Tests of what the first mistakes hide. The messages themselves are golden files."""

from pathlib import Path

import pytest

from gateway.config.load import check_file
from gateway.config.problems import ConfigError


def paths(tmp_path: Path, name: str, text: str) -> list[str]:
    """Where a file has mistakes."""
    file = tmp_path / name
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        check_file(file)
    return [problem.path for problem in caught.value.problems]


def test_an_item_that_is_wrong_hides_no_other(tmp_path: Path) -> None:
    """Each has its own place, whatever was left out before it."""
    limits = "limits:\n- {name: a, on: 5}\n- {name: b, on: key, concurrent: 1}\n"

    found = paths(tmp_path, "gateway.yaml", limits + "- {name: b, on: key, concurrent: 2}\n")

    assert found == ["limits[0].on", "limits[2].name"]


@pytest.mark.parametrize(
    ("text", "only"),
    [
        # The model may be the one whose entry is wrong.
        ("models: [{id: m, context: x}, {id: n}], default_model: m", "models[0].context"),
        # The list is not empty: what was in it is wrong.
        ("credentials: [5]", "credentials[0]"),
    ],
)
def test_nothing_is_said_that_only_follows(tmp_path: Path, text: str, only: str) -> None:
    """What was left out is missing, and that is nobody's mistake."""
    entry = f"providers: {{a: {{base_url: 'https://llm.example.org/v1', {text}}}}}\n"

    assert paths(tmp_path, "providers.yaml", entry) == [f"providers.a.{only}"]
