"""Programs that pip cannot bring: found, or the test is skipped with the line that installs them.

The rule here: a program named in GATEWAY_TEST_REQUIRE (`nginx,node`) fails the test instead: a
machine that should have it cannot pass by not having it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

# Debian keeps servers where the PATH of an ordinary user does not look; Homebrew has its own place.
MORE_PATH = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")
NODE_PROJECT = Path(__file__).parents[1] / "node"
NPM_TIMEOUT_S = 50


def refuse(program: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where the program is required."""
    required = os.environ.get("GATEWAY_TEST_REQUIRE", "").replace(" ", "").split(",")
    if program in required:
        pytest.fail(f"{reason} (required by GATEWAY_TEST_REQUIRE)", pytrace=False)
    pytest.skip(reason)


def find_program(program: str, *, install: str, part: str = "") -> Path:
    """Give the path of a program; `install` brings it, `part` names what it is required for."""
    found = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *MORE_PATH]))
    if found is None:
        refuse(part or program, f"{program} is not installed: {install}")
    return Path(found)


@pytest.fixture(scope="session")
def curl_path() -> Path:
    """Give the curl program, which pages and the gateway's own lines are written for."""
    return find_curl()


def find_curl() -> Path:
    """Give the curl program, for whoever asks for it only sometimes."""
    return find_program("curl", install="apt install curl")


@pytest.fixture(scope="session")
def nginx_path() -> Path:
    """Give the nginx program."""
    return find_program("nginx", install="apt install nginx-light")


@pytest.fixture(scope="session")
def node_path() -> Path:
    """Give the Node program."""
    return find_program("node", install="apt install nodejs")


@pytest.fixture(scope="session")
def node_modules(node_path: Path) -> Path:
    """Give tests/node/node_modules with what package-lock.json names installed."""
    npm = shutil.which("npm", path=os.pathsep.join([os.environ["PATH"], str(node_path.parent)]))
    if npm is None:
        refuse("node", "npm is not installed: apt install npm")
    lock = NODE_PROJECT / "package-lock.json"
    modules = NODE_PROJECT / "node_modules"
    stamp = modules / f".installed-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    with _only_one(lock):
        if not stamp.exists():
            _install(npm)
            stamp.touch()
    return modules


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Keep the other test processes out: `npm ci` deletes the directory before it fills it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(npm: str) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            command,
            cwd=NODE_PROJECT,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        refuse("node", f"npm ci took longer than {NPM_TIMEOUT_S} s: is the network there?")
    if done.returncode != 0:
        last = [line for line in done.stderr.splitlines() if line.startswith("npm error")][:1]
        refuse("node", f"npm ci failed: {' '.join(last) or done.returncode}")
