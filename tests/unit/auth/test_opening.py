"""What is written in `auth` becomes methods, and costs only who has written it."""

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.auth.anonymous import Anonymous
from gateway.auth.local import LocalCalls
from gateway.auth.method import Method
from gateway.auth.opening import make_methods
from gateway.auth.static_keys import StaticKeys
from gateway.config.settings import Settings
from gateway.core.tasks import Tasks
from gateway.upstream.resolver import Resolver
from tests.house.tree import ROOT
from tests.plugins.anybody import ENTRY

KEYS = {"kind": "gateway_key", "keys": {"alice": f"sha256:{'0' * 64}"}}
TOKENS = {
    "kind": "jwt",
    "issuer": "https://login.example.org",
    "audience": "chat",
    "algorithms": ("RS256",),
}
COOKIES = {"kind": "supabase_cookie", "url": "https://login.example.org", "prefix": "s:"}


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """Nobody asks it."""
    made = Resolver()
    yield made
    made.close()


def make(auth: tuple[Any, ...] | None, resolver: Resolver) -> list[type[Method]]:
    """The kinds of the methods that these entries become."""
    settings = Settings.model_validate({"auth": auth})
    return [type(made) for made in make_methods(settings, Tasks(print), resolver)]


async def test_every_entry_is_a_method_in_its_place(resolver: Resolver) -> None:
    """The first that recognises the caller wins, so the order is the operator's."""
    names = [one.__name__ for one in make((TOKENS, KEYS, COOKIES), resolver)]

    assert names == ["BearerTokens", "StaticKeys", "SupabaseCookie"]
    assert make((KEYS, ENTRY), resolver) == [StaticKeys, Anonymous]


async def test_without_entries_there_are_local_calls_alone(resolver: Resolver) -> None:
    """Nobody else has been let in."""
    assert make(None, resolver) == [LocalCalls]


def test_a_gateway_without_tokens_does_not_load_what_verifies_them() -> None:
    """PyJWT and cryptography take longer to import than all of the gateway's own modules."""
    program = "import sys, gateway.cli.serve; print({'jwt', 'cryptography'} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"
