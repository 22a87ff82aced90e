"""The gateway as it is installed: from its wheel, in a directory without the checkout.

The rule here: the wheel is built and installed offline, and nothing but it is `gateway`.
"""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPENDENCIES = sysconfig.get_path("purelib")


@dataclass(frozen=True)
class Installed:
    """A wheel in an environment of its own, run from an empty directory."""

    program: Path
    directory: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `gateway` command."""
        return self.call(str(self.program), *arguments)

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command, with the dependencies in sight and no credential."""
        # The dependencies are those of the test environment; the checkout is not among them.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PYTHONPATH": DEPENDENCIES,
        }
        return subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (file,) = directory.glob("chat_gateway-*-py3-none-any.whl")
    return file


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own; give its directory of programs."""
    directory = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    programs = directory / "bin"
    install = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", str(wheel)]
    command = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install"]
    done = subprocess.run([*command, *install], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return programs


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installed:
    """Give the installed command, standing in an empty directory."""
    return Installed(program=environment / "gateway", directory=tmp_path)


def test_the_wheel_holds_the_gateway_and_what_init_writes_alone(wheel: Path) -> None:
    """The registry and the example are the repository's own; tests and benchmarks stay at home."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        shipped = archive.read("gateway/config/shipped/providers.yaml")
        example = archive.read("gateway/config/shipped/plugins/hello.py")

    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway"}
    assert shipped == (ROOT / "providers.yaml").read_bytes()
    assert example == (ROOT / "plugins/hello.py").read_bytes()


def test_the_wheel_says_that_it_has_types(wheel: Path) -> None:
    """Without that mark a type checker reads nothing of what a middleware imports (PEP 561)."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert "gateway/py.typed" in names


def test_the_version_is_the_distributions_own(installed: Installed, wheel: Path) -> None:
    """`gateway --version` is the first thing a bug report is asked for."""
    done = installed.run("--version")

    assert done.returncode == 0, done.stderr
    assert wheel.name.split("-")[1] in done.stdout


def test_the_module_is_the_same_command(installed: Installed) -> None:
    """`python -m gateway` works where the command is not on PATH."""
    by_module = installed.call(
        str(installed.program.with_name("python")), "-m", "gateway", "--version"
    )

    assert by_module.stdout == installed.run("--version").stdout


def test_the_registry_inside_the_wheel_is_used(installed: Installed) -> None:
    """Somebody who has written no file yet has all the providers that ship."""
    done = installed.run("providers")

    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
    assert "openrouter" in done.stdout


def test_what_init_writes_is_accepted_by_check(installed: Installed) -> None:
    """The files to begin with are right as they are."""
    written = installed.run("init")
    checked = installed.run("check")

    assert written.returncode == 0, written.stderr
    assert sorted(path.name for path in installed.directory.glob("*.yaml")) == [
        "gateway.yaml",
        "providers.yaml",
    ]
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.usefixtures("curl_path")
def test_the_example_of_a_middleware_starts_once_it_is_switched_on(installed: Installed) -> None:
    """Its lines stand in the file that init writes."""
    installed.run("init")
    settings = installed.directory / "gateway.yaml"
    text, found = re.subn(
        r"^# (middleware:)\n# (  - use:.*)\n# (    after:.*)$",
        r"\1\n\2\n\3",
        settings.read_text(),
        flags=re.MULTILINE,
    )
    settings.write_text(text)
    command = [str(installed.program), "serve", "--port", "0", "--admin-port", "0"]

    with subprocess.Popen(
        command,
        cwd=installed.directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": DEPENDENCIES},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        said = ""
        for line in running.stderr:
            said += line
            if line.startswith("listening"):
                break
        url = said.split()[-1]
        asked = subprocess.run(
            ["curl", "-sSi", f"{url}/api/keys"], capture_output=True, text=True, check=False
        )
        running.terminate()

    assert found == 1
    assert "X-Hello: local" in asked.stdout, said


def test_the_migrations_are_inside(installed: Installed) -> None:
    """A key can be made with nothing but the wheel, and tables come with it."""
    made = installed.run("keys", "create", "alice")
    checked = installed.run("db", "check")

    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("gw_")
    assert checked.returncode == 0, checked.stderr


def test_check_names_the_place_of_a_mistake(installed: Installed) -> None:
    """A mistake in a file of the user's is found in that file, also from the installed command."""
    text = "providers:\n  mine:\n    base_ulr: https://llm.example.org/v1\n"
    (installed.directory / "providers.yaml").write_text(text, encoding="utf-8")

    done = installed.run("check", "providers.yaml")

    assert done.returncode == 1
    assert "providers.yaml:3:5:" in done.stdout + done.stderr
