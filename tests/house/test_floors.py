"""The versions below which the gateway is not safe, or not itself.

The rule here: a floor is a security fix or a behaviour we rely on, and says which.
"""

import tomllib
from importlib.metadata import requires, version

import pytest
from aiohttp.http_parser import HttpRequestParser
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [Requirement(line) for line in PROJECT["dependencies"]]
DEPENDENCIES = [found for found in DECLARED if found.marker is None or found.marker.evaluate()]

FLOORS = {
    "aiohttp": "3.14.4",  # GHSA-2g87-pp6c-29x5 and five more of the same day
    "aiohappyeyeballs": "2.6",
    "cryptography": "46.0.7",  # CVE-2026-39892: reading beyond a buffer
    "httptools": "0.9",
    "pydantic": "2.12",
    "pyjwt": "2.13",  # a public key as an HMAC secret, algorithms slipping by; 2.12: `crit`
    "uvloop": "0.22",
}

# Poisoned on their registry, or a second way of doing what is done already.
REFUSED = {"litellm", "httpx", "requests", "orjson", "ujson", "openai"}


def lowest(requirement: Requirement) -> Version:
    """The version a requirement begins at."""
    return max(Version(spec.version) for spec in requirement.specifier if spec.operator == ">=")


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_pyproject_does_not_allow_less_than_the_floor(name: str, floor: str) -> None:
    """Whoever installs without our lock file is protected by the floors alone."""
    declared = {str(canonicalize_name(found.name)): lowest(found) for found in DEPENDENCIES}

    assert declared[name] >= Version(floor)


@pytest.mark.parametrize("requirement", DEPENDENCIES, ids=lambda found: found.name)
def test_what_is_installed_is_what_pyproject_asks_for(requirement: Requirement) -> None:
    """A suite that passes on other versions says nothing about these."""
    assert version(requirement.name) in requirement.specifier


def test_aiohttp_parses_requests_in_c() -> None:
    """The Python parser has let through framings that the C parser refuses."""
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"


def test_nothing_we_refuse_comes_with_the_gateway() -> None:
    """All credentials are in one process: what runs in it is chosen, also one level down."""
    direct = {canonicalize_name(found.name) for found in DEPENDENCIES}
    theirs = {
        canonicalize_name(Requirement(line).name)
        for name in direct
        for line in requires(name) or []
        if "extra ==" not in line
    }

    assert (direct | theirs) & REFUSED == set()
