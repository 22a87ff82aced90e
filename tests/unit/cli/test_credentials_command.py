"""The names and options of `gateway credentials`."""

import pytest
from typer.testing import CliRunner

from gateway.cli.credentials_command import app


def run(*arguments: str) -> tuple[int, str]:
    """Run a command in this process."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_the_commands_are_those_of_the_docs() -> None:
    """A name is a promise; and no command takes a credential as an argument."""
    _, text = run("--help")

    for name in ("set", "list", "delete"):
        assert f" {name} " in text
        options = run(name, "--help")[1]
        for option in ("tenant", "principal", "kind", "config"):
            assert f"--{option} " in options
        assert "KEY" not in options
        assert "VALUE" not in options


@pytest.mark.parametrize(
    "arguments",
    [
        ["set"],
        ["set", "groq"],
        ["set", "nobody", "--tenant", "acme"],
        ["set", "custom", "--tenant", "acme"],
        ["set", "groq", "--tenant", "acme", "--principal", "alice"],
        ["set", "groq", "--tenant", "acme", "--kind", "user"],
        ["set", "groq", "--principal", "alice", "--kind", "tenant"],
        ["set", "groq", "--principal", ""],
        ["set", "groq", "--tenant", "a\nb"],
        ["set", "groq", "--tenant", "acme", "--providers", "none.yaml"],
        ["set", "groq", "sk-canary", "--tenant", "acme"],
        ["delete", "groq"],
        ["list", "--format", "csv"],
        ["list", "--kind", "user"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(arguments: list[str]) -> None:
    """Before anything is opened or made: exit code 2, as for any option."""
    assert run(*arguments)[0] == 2
