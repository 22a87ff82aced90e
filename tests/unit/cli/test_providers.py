"""`gateway providers` from the file to the table."""

from pathlib import Path

import pytest

from gateway.cli.providers import list_providers


def test_a_registry_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That is the command."""
    file = tmp_path / "providers.yaml"
    file.write_text("providers: {mine: {base_url: 'https://llm.example.org/v1'}}\n")

    code = list_providers(file)

    assert code == 0
    assert "MINE_API_KEY" in capsys.readouterr().out


def test_mistakes_are_told_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a table would be believed."""
    file = tmp_path / "providers.yaml"
    file.write_text("providers: {mine: {base_ulr: 'https://llm.example.org/v1'}}\n")

    code = list_providers(file)

    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    assert f"{file}:1:" in captured.err
