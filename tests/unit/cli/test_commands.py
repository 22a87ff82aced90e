"""From a command's name to its function."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gateway.cli.commands import COMMANDS, run

ROOT = Path(__file__).parents[3]
# What the collector has looked through at most, beside what will never be looked through again.
WATCHED = """
import gc
import typer
from gateway.cli.commands import run

seen = [0]
gc.callbacks.append(lambda *_: seen.append(len(gc.get_objects())))
try:
    run("schema", which="gateway")
except typer.Exit:
    print()
print(gc.isenabled(), gc.get_freeze_count(), max(seen))
"""


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


@pytest.mark.parametrize("command", ["serve", "check", "usage"])
def test_a_directory_that_is_gone_is_said(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell may stand in what a deployment has replaced; no traceback, and no `no such file`."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-m", "gateway", command],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("The current directory has been deleted; change to another one.\n")


def test_no_garbage_is_looked_for_among_what_a_command_imports() -> None:
    """It all stays, and looking takes a sixth of the time until the gateway listens."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    is_enabled, frozen, seen = done.stdout.splitlines()[-1].split()

    assert is_enabled == "True"
    assert int(seen) < int(frozen) / 2
