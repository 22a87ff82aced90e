"""What the commands about keys and the database share."""

from pathlib import Path

import pytest

from gateway.cli.stores import run_with_keys, run_with_settings
from gateway.config.settings import Settings
from gateway.stores.errors import StoreError
from gateway.stores.opening import OpenKeys


def test_mistakes_in_the_settings_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `gateway check` tells them."""
    file = tmp_path / "gateway.yaml"
    file.write_text("stores: {databse: x}\n")

    async def work(_: Settings) -> int:
        raise AssertionError

    assert run_with_settings(file, work) == 1
    assert (
        capsys.readouterr().err
        == f"{file}:1:10: stores.databse: unknown key; did you mean database?\n"
    )


def test_what_a_store_says_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with exit code 1; and what was opened is closed."""
    file = tmp_path / "gateway.yaml"
    file.write_text("")
    seen: list[OpenKeys] = []

    async def work(_: Settings, opened: OpenKeys) -> int:
        seen.append(opened)
        raise StoreError("No.")

    assert run_with_keys(file, work) == 1
    assert capsys.readouterr().err == "No.\n"
    assert len(seen) == 1
