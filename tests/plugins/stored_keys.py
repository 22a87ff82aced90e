"""Key stores for tests: real ones, and one that fails when it is told to.

The rule here: time is a number that the test moves.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from gateway.auth import stored_keys
from gateway.config.stores import StoresSpec
from gateway.core.gateway_key import make_key
from gateway.stores.errors import StoreDownError
from gateway.stores.keys import Changes, KeyStore, StoredKey, StoredSecret, shown_part
from gateway.stores.opening import OpenKeys, find_address, open_keys
from gateway.stores.peppers import Peppers
from tests.plugins.tables import lay_tables

PEPPER = "canary-pepper-canary-pepper-canary-01"
ENVIRON = {"GATEWAY_PEPPER": PEPPER}
PEPPERS = {"1": "${GATEWAY_PEPPER}"}
NOW = 1_800_000_000
SOME_KEY = "gw_canarycanarycanarycanarycanarycanarycanaryc3kO4UK"  # always the same, and nobody's


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """Give the time."""
        return self.now


class FickleStore:
    """A key store that passes questions on, counts them, and fails or waits when told to."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.questions = 0  # about keys
        self.looks = 0  # for changes
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.gate_after = asyncio.Event()  # after the store behind has answered
        self.gate_after.set()
        self.has_read = asyncio.Event()

    async def find_keys(self, digests: Collection[bytes]) -> dict[bytes, StoredKey]:
        """Ask the store behind, unless told otherwise."""
        self.questions += 1
        await self.gate.wait()
        if self.is_down:
            raise StoreDownError("gateway.db: out of order")
        found = await self._store.find_keys(digests)
        self.has_read.set()
        await self.gate_after.wait()
        return found

    async def fetch_changes(self, since: int) -> Changes:
        """The same."""
        self.looks += 1
        await self.gate.wait()
        if self.is_down:
            raise StoreDownError("gateway.db: out of order")
        return await self._store.fetch_changes(since)


def new_key(
    peppers: Peppers, name: str = "alice", *, created_at: int = NOW, **fields: object
) -> tuple[str, StoredKey]:
    """A key and what is stored of it."""
    key = make_key()
    return key, StoredKey(
        name=name,
        created_at=created_at,
        secrets=(new_secret(peppers, key, created_at),),
        **fields,
    )


def new_secret(
    peppers: Peppers, key: str, at: int = NOW, expires_at: int | None = None
) -> StoredSecret:
    """What is stored of one secret."""
    return StoredSecret(peppers.digest(key), peppers.newest, shown_part(key), at, expires_at)


def spec_of(database_address: str) -> StoresSpec:
    """The settings of a store with a pepper from the environment."""
    return StoresSpec(database=database_address, peppers=PEPPERS)


async def make_tables(spec: StoresSpec) -> None:
    """Do what `gateway db upgrade` does."""
    await lay_tables(find_address(spec, ENVIRON))


@pytest.fixture
async def opened(database_address: str) -> AsyncIterator[OpenKeys]:
    """An empty store of each sort, and its peppers."""
    spec = spec_of(database_address)
    await make_tables(spec)
    opened = await open_keys(spec, ENVIRON, timeout_s=10)
    yield opened
    await opened.store.close()


@pytest.fixture
def keys_are_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each answer of the store were five seconds old."""
    monkeypatch.setattr(stored_keys, "RENEW_S", 0.0)
    monkeypatch.setattr(stored_keys, "FRESH_S", 0.0)
    monkeypatch.setattr(stored_keys, "ANSWER_S", 10.0)  # on a busy machine it may take a while


@pytest.fixture
async def sqlite_keys(tmp_path: Path) -> AsyncIterator[OpenKeys]:
    """An empty store in a file."""
    spec = spec_of(f"sqlite:///{tmp_path / 'gateway.db'}")
    await make_tables(spec)
    opened = await open_keys(spec, ENVIRON, timeout_s=10)
    yield opened
    await opened.store.close()
