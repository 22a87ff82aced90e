"""From a command's name to its function."""

import importlib

import pytest
import typer

from gateway.cli.commands import COMMANDS, run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_is_there(command: str) -> None:
    """A table that is read late fails late."""
    module, _, name = COMMANDS[command].partition(":")

    assert callable(getattr(importlib.import_module(module), name))


def test_what_a_command_returns_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts go by it."""
    with pytest.raises(typer.Exit) as ended:
        run("schema", which="gateway")

    assert ended.value.exit_code == 0
    assert capsys.readouterr().out.startswith("{")
