"""The lock files: what `make run` and `make test` install, to the byte.

The rule here: a line that pip would take from anywhere, or in any version, is not in a lock.
"""

import json
import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.tree import ROOT

LOCKS = ("requirements.lock", "requirements-test.lock")
DEFAULT_INSTALL_PACKAGES = 40
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def entries(lock: str) -> Iterator[tuple[Requirement, int]]:
    """Every requirement of a lock and how many hashes it has."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", "")
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            yield Requirement(HASH.sub("", line).strip()), len(HASH.findall(line))


def versions(lock: str) -> dict[str, set[str]]:
    """The pinned versions by package; two where they differ by platform or Python."""
    pins: dict[str, set[str]] = {}
    for requirement, _ in entries(lock):
        pins.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    return pins


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    """A version that is replaced on the registry is refused, not installed."""
    loose = [
        requirement.name
        for requirement, hashes in entries(lock)
        if not re.fullmatch(r"==[^,*]+", str(requirement.specifier)) or hashes == 0
    ]

    assert loose == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_place_to_install_from(lock: str) -> None:
    """Everybody installs from the index they have chosen themselves."""
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert re.findall(r"(?m)^\s*(?:--(?!hash)\S+|-[a-z]\b.*)|.*index-url.*|\w+://", text) == []


def test_the_default_install_stays_small() -> None:
    """Each package is somebody else who could take every credential."""
    assert len(versions("requirements.lock")) <= DEFAULT_INSTALL_PACKAGES


def test_what_is_tested_is_what_runs() -> None:
    """The lock of the tests holds the versions of the other one."""
    run, test = (versions(lock) for lock in LOCKS)

    assert {name: test.get(name) for name in run} == run


@pytest.mark.parametrize(
    ("lock", "lines"),
    [
        ("requirements.lock", PROJECT["dependencies"]),
        ("requirements-test.lock", PROJECT["optional-dependencies"]["test"]),
        ("requirements-test.lock", PROJECT["optional-dependencies"]["check"]),
    ],
    ids=["run", "test", "check"],
)
def test_a_lock_holds_what_pyproject_asks_for(lock: str, lines: list[str]) -> None:
    """A dependency that was added or raised without `make lock` would be missing at the user's."""
    pins = versions(lock)

    stale = [
        line
        for line in lines
        for wanted in [Requirement(line)]
        if not all(
            pin.removeprefix("==") in wanted.specifier
            for pin in pins.get(canonicalize_name(wanted.name), {"==0"})
        )
    ]

    assert stale == []


def test_the_node_lock_has_hashes_and_no_addresses() -> None:
    """`npm ci` checks what it downloads, from whichever registry is configured."""
    lock = json.loads((ROOT / "tests/node/package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert [name for name, entry in packages.items() if "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
