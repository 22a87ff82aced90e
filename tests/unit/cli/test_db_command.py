"""The names and options of `gateway db`."""

from typer.testing import CliRunner

from gateway.cli.db_command import app


def test_the_commands_are_those_of_the_docs() -> None:
    """A name is a promise."""
    text = CliRunner().invoke(app, ["--help"]).output

    for name in ("upgrade", "check", "backup"):
        assert f" {name} " in text


def test_a_backup_needs_a_place() -> None:
    """No default: it would be on the same disk."""
    assert CliRunner().invoke(app, ["backup"]).exit_code == 2
