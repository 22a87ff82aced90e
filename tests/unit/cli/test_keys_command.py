"""The names and options of `gateway keys`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.keys_command import app


def run(*arguments: str) -> tuple[int, str]:
    """Run a command in this process."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_the_commands_are_those_of_the_docs() -> None:
    """A name is a promise."""
    _, text = run("--help")

    for name in ("create", "list", "show", "rotate", "disable", "test"):
        assert f" {name} " in text


def test_create_has_the_options_of_the_docs() -> None:
    """They are in scripts that hand out keys."""
    _, text = run("create", "--help")

    for option in ("tenant", "group", "provider", "model", "network", "expires", "config"):
        assert f"--{option} " in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "a b"],
        ["create", "alice", "--tenant", "a b"],
        ["create", "alice", "--group", ""],
        ["create", "alice", "--provider", "Groq"],
        ["create", "alice", "--model", "llama"],
        ["create", "alice", "--network", "10.0.0.1/8"],
        ["create", "alice", "--network", "localhost"],
        ["create", "alice", "--expires", "30"],
        ["rotate", "alice", "--overlap", "1"],
        ["list", "--format", "csv"],
        ["show"],
        ["test", "gw_a", "gw_b"],
        ["test", "groq", "gw_a"],
        ["test", "-", "groq"],
        ["test", "--timeout", "0"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(arguments: list[str]) -> None:
    """Before anything is opened or made: exit code 2, as for any option."""
    assert run(*arguments)[0] == 2


def test_test_has_the_options_of_the_docs() -> None:
    """One word for both: a key of the gateway is known by its form."""
    _, text = run("test", "--help")

    for option in ("config", "providers", "timeout", "json"):
        assert f"--{option} " in text


def test_the_form_of_an_argument_says_which_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no key is a provider, and what nobody knows is not repeated."""
    monkeypatch.chdir(tmp_path)

    assert "This is no key of the gateway" in run("test", "gw_a")[1]
    code, text = run("test", "sk-canary-1f3a")

    assert (code, "There is no provider of that name" in text) == (1, True)
    assert "canary" not in text
