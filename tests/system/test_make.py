"""What `make` sets up: the command of a checkout, and what it says where Python lacks something.

The rule here: make and its scripts are the real ones; the packages, which come from the internet,
are those that run this test.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from tests.plugins.programs import find_program

ROOT = Path(__file__).parents[2]
COMMAND = Path(".venv/bin/gateway")
PROGRAM = '#!/bin/sh\nexec "{}" "$@"\n'
# What completes a line in bash: the function that is registered for a command of this name.
COMPLETE = """
source <("$1" --show-completion bash)
COMP_WORDS=("$1" key) COMP_CWORD=1
_gateway_completion "$1"
echo "${COMPREPLY[@]}"
"""
# As on a Debian that has the interpreter and not the package with venv.
WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone in which `make run` has installed the packages, in a directory with an odd name."""
    directory = tmp_path / "my $gateway's"
    for name in ("Makefile", "requirements.lock"):
        copy(ROOT / name, directory / name)
    shutil.copytree(ROOT / "scripts", directory / "scripts")
    (directory / "gateway").symlink_to(ROOT / "gateway")
    write_program(directory / ".venv/bin/python", PROGRAM.format(sys.executable))
    (directory / ".venv/.installed-requirements").touch()
    return directory


def copy(source: Path, target: Path) -> None:
    """Copy a file to where there may be no directory yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def write_program(path: Path, text: str) -> None:
    """Write a script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(*command: Path | str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run something with an environment of its own."""
    path = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    return subprocess.run(
        command, cwd=cwd, env=path | environment, capture_output=True, text=True, check=False
    )


def make(checkout: Path, target: Path | str, **environment: str) -> None:
    """Let make bring a target."""
    program = find_program("make", install="apt install make", part="namespaces")
    done = run(program, "--silent", str(target), cwd=checkout, **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_command_works_from_everywhere(checkout: Path, tmp_path: Path) -> None:
    """From any directory, by a link, and after the clone has moved; it is what pages name."""
    make(checkout, COMMAND)
    moved = checkout.rename(tmp_path / "moved")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_program(elsewhere / "gateway.py", "raise SystemExit('not this one')\n")
    (elsewhere / "bin").symlink_to(moved / COMMAND)

    said = [run(path, "--version", cwd=elsewhere) for path in (moved / COMMAND, "./bin")]

    assert [(one.stdout, one.stderr) for one in said] == [(f"chat-gateway {__version__}\n", "")] * 2


def test_bash_completes_the_command(checkout: Path) -> None:
    """Also where it is called by its path: nobody has it in PATH after `make run`."""
    make(checkout, COMMAND)

    done = run("bash", "-c", COMPLETE, "bash", f"./{COMMAND}", cwd=checkout)

    assert (done.stdout, done.stderr) == ("keys\n", "")


def test_make_run_brings_the_command_and_makes_it_once(checkout: Path) -> None:
    """A start that does nothing new takes no time for it."""
    program = find_program("make", install="apt install make", part="namespaces")
    before = run(program, "--dry-run", "run", cwd=checkout).stdout
    make(checkout, COMMAND)
    after = run(program, "--dry-run", "run", cwd=checkout).stdout

    assert [steps.count("make-command") for steps in (before, after)] == [1, 0]


def programs(directory: Path, *names: str) -> str:
    """Give a PATH on which these are found, and the pythons that the directory holds."""
    for name in names:
        found = shutil.which(name)
        assert found is not None, name
        (directory / name).symlink_to(found)
    return str(directory)


@pytest.mark.parametrize(
    ("interpreter", "asked", "said"),
    [
        ("python3", "", ("python3 has no venv module.", "apt install python3-venv")),
        ("python3.12", "", ("python3.12 has no venv module.", "apt install python3.12-venv")),
        ("mine", "mine", ("mine has no venv module.", "apt install python3-venv")),
        (None, "", ("No Python 3.11 or later.", "apt install python3 python3-venv")),
        (None, "mine", ("No Python 3.11 or later at PYTHON=mine.", "apt install python3 ")),
    ],
)
def test_without_venv_the_line_to_install_it_is_printed(
    checkout: Path, tmp_path: Path, interpreter: str | None, asked: str, said: tuple[str, str]
) -> None:
    """The first minute of somebody with a bare Debian ends here, or goes on."""
    found = tmp_path / "programs"
    if interpreter is not None:
        write_program(found / interpreter, WITHOUT_VENV)
    write_program(found / "apt", "#!/bin/sh\n")
    path = programs(found, "make", "sh", "uname", "dirname", "basename", "rm")
    shutil.rmtree(checkout / ".venv")

    done = run(found / "make", "run", f"PYTHON={asked}", cwd=checkout, PATH=path)

    assert done.returncode == 2  # make's own
    assert done.stderr.startswith(said[0])
    assert f"    {said[1]}" in done.stderr
    assert not (checkout / ".venv").exists()
