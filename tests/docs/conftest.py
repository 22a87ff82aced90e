"""A checkout to paste commands into, and a gateway that `make run` would have started.

The rule here: commands run as they are written, but for the ports; what they write is thrown away.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, blocks
from tests.plugins.authorities import FEW_AUTHORITIES
from tests.plugins.programs import find_curl

STOP_S = 10
COMMAND_S = 30
FILES = ("providers.yaml", "README.md")
DIRECTORIES = ("deploy", "docs", "examples", "gateway", "plugins", "scripts")
CURL = re.compile(r"\bcurl\b")
LISTENING = re.compile(r"^(listening|admin) +http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
# What only `make run` can have: its own interpreter, and a command that the wheel would install.
PYTHON = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
COMMAND = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m gateway "$@"\n'
PROGRAMS = {".venv/bin/python": PYTHON, "bin/python3": PYTHON, "bin/gateway": COMMAND}


@dataclass(frozen=True)
class Checkout:
    """A directory that looks like a fresh clone after `make run`."""

    directory: Path
    banner: str
    port: str
    admin_port: str
    pid: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, with this gateway's ports in place of those on the page."""
        if any(CURL.search(part) for part in command):
            find_curl()  # a bare Debian has none
        return subprocess.run(
            [self._with_ports(part) for part in command],
            cwd=self.directory,
            env=environment(self.directory),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def as_on_the_page(self, text: str) -> str:
        """Give output with the ports that pages name."""
        return text.replace(f":{self.admin_port}", ":8081").replace(f":{self.port}", ":8080")

    def _with_ports(self, text: str) -> str:
        return text.replace(":8081", f":{self.admin_port}").replace(":8080", f":{self.port}")


CheckoutOf = Callable[[str], Checkout]


def environment(directory: Path) -> dict[str, str]:
    """Give the environment of somebody who has just cloned: no credentials."""
    return {
        "PATH": f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        **FEW_AUTHORITIES,
    }


def make_checkout(directory: Path, page_files: Iterable[Block]) -> Path:
    """Fill a directory with what a clone has, and with the files that a page writes into it."""
    for name in FILES:
        shutil.copy(ROOT / name, directory / name)
    for name in DIRECTORIES:
        # With what Python has compiled: without it each command would compile the whole gateway.
        # What another process is about to write has a name of its own, and is gone in a moment.
        ignore = shutil.ignore_patterns("*.pyc.*")
        shutil.copytree(ROOT / name, directory / name, ignore=ignore)
    for path, text in PROGRAMS.items():
        program = directory / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    script = ("sh", "scripts/make-command", ".venv/bin/gateway")
    subprocess.run(script, cwd=directory, check=True)
    for block in page_files:
        (directory / str(block.file)).write_text(block.text, encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def checkout_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckoutOf]:
    """Give a function from a page to the checkout in which its reader would stand.

    A gateway runs in it with the registry that ships; pages that write the same files share one.
    """
    started: dict[tuple[tuple[str | None, str], ...], Checkout] = {}
    with ExitStack() as running:

        def find(page: str) -> Checkout:
            files = [block for block in blocks(page) if block.file]
            key = tuple((block.file, block.text) for block in files)
            if key not in started:
                directory = make_checkout(tmp_path_factory.mktemp("checkout"), files)
                started[key] = running.enter_context(serving(directory))
            return started[key]

        yield find


@contextmanager
def serving(directory: Path) -> Iterator[Checkout]:
    """Run the gateway of a checkout as `make run` does, on free ports."""
    command = [".venv/bin/python", "-m", "gateway", "serve", "--providers", "providers.yaml"]
    with subprocess.Popen(
        [*command, "--port", "0", "--admin-port", "0"],
        cwd=directory,
        env={**environment(directory), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as gateway:
        try:
            banner = _read_banner(gateway)
            ports = dict(LISTENING.findall(banner))
            assert len(ports) == 2, banner
            # Nobody reads on: a pipe holds 64 KiB, far more than these tests make it log.
            yield Checkout(directory, banner, ports["listening"], ports["admin"], gateway.pid)
        finally:
            gateway.terminate()
            gateway.communicate(timeout=STOP_S)


def _read_banner(gateway: subprocess.Popen[str]) -> str:
    """Read what the gateway prints, up to the command to try."""
    assert gateway.stdout is not None
    lines = []
    for line in gateway.stdout:
        lines.append(line)
        if line.startswith("curl "):
            break
    return "".join(lines)
