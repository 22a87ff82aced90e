"""The command line: names, options and what each command loads."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import __version__
from gateway.cli.main import app

ROOT = Path(__file__).parents[3]


def run(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command in this process."""
    done = CliRunner().invoke(app, list(arguments), env=env)
    return done.exit_code, done.stdout, done.stderr


def test_the_version_is_one_line() -> None:
    """Scripts read it."""
    assert run("--version") == (0, f"chat-gateway {__version__}\n", "")


def test_the_commands_are_those_of_the_docs() -> None:
    """A name is a promise."""
    _, out, _ = run("--help")

    for name in ("serve", "check", "providers", "chat", "simulate", "init", "keys", "db"):
        assert f" {name} " in out


def test_the_version_waits_for_nothing() -> None:
    """What a command needs is imported when it runs."""
    heavy = {"aiohttp", "pydantic", "structlog", "uvloop", "rich.table"}
    code = f"import sys; import gateway.cli.main; print({heavy} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"


def test_flags_do_not_look_as_if_a_value_followed() -> None:
    """After `--follow <bool>` somebody writes `--follow true`, which is the name of a file."""
    commands = ((), ("logs",), ("keys", "test"), ("healthcheck",))
    shown = "".join(run(*command, "--help", env={"COLUMNS": "200"})[1] for command in commands)

    lines = [line for line in shown.splitlines() if "<bool>" in line]

    # Those that every command has of typer's own.
    assert {line.split()[1] for line in lines} == {
        "--help",
        "--install-completion",
        "--show-completion",
    }


def test_serve_has_the_options_of_the_docs() -> None:
    """They are in start scripts."""
    _, out, _ = run("serve", "--help", env={"COLUMNS": "200"})

    for option in ("--config", "--providers", "--host", "--port", "--admin-host", "--admin-port"):
        assert f"{option} " in out


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    """Before anything is loaded."""
    assert run("serve", "--port", port)[0] == 2


def test_mistakes_of_check_become_its_exit_code(tmp_path: Path) -> None:
    """CI stops at them."""
    file = tmp_path / "gateway.yaml"
    file.write_text("server: {prt: 1}\n")

    code, out, _ = run("check", str(file))

    assert code == 1
    assert out.startswith(f"{file}:1:10: server.prt: unknown key")


def test_check_prints_schemas_for_editors() -> None:
    """They complete from those."""
    code, out, _ = run("check", "--schema", "gateway")

    assert (code, out[:1]) == (0, "{")
    assert run("check", "--schema", "else")[0] == 2


def test_init_writes_where_it_is_told(tmp_path: Path) -> None:
    """And ends well."""
    assert run("init", str(tmp_path))[0] == 0
    assert (tmp_path / "providers.yaml").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    """The script asks the command itself."""
    command = [sys.executable, "-m", "gateway"]

    done = subprocess.run(
        command,
        env={
            "_GATEWAY_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": "gateway si",
            "COMP_CWORD": "1",
            "_TYPER_COMPLETE_ARGS": "gateway si",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "PYTHONPATH": str(ROOT),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "simulate" in done.stdout
    assert "serve" not in done.stdout
