"""The gateways that the benchmark compares are what its report calls them.

The rule here: their files are read with the gateway's own code, as it would read them.
"""

import asyncio
from pathlib import Path

import pytest

from bench.chains import CALLER, SHARED_COUNTERS, SILENT, Chain, fill_store, list_chains, make_key
from bench.counters import has_server
from gateway.config.load import load_settings
from gateway.config.settings import Settings
from gateway.stores.keys import StoredKey
from gateway.stores.opening import open_keys

CHAINS = list_chains(1000, has_redis=has_server())


def read(directory: Path, chain: Chain) -> Settings:
    """Its settings."""
    file = directory / "gateway.yaml"
    shared = SHARED_COUNTERS.format(address="unix:///x") if chain.has_redis else ""
    file.write_text(chain.settings + shared)
    return load_settings(file, {})


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.row)
def test_they_differ_as_their_names_say(tmp_path: Path, chain: Chain) -> None:
    """A ratio to a gateway with half of its chain on would be a promise that is easily kept."""
    settings = read(tmp_path, chain)

    assert (settings.auth is not None) == settings.keeps_ledger == chain.is_full
    is_silent = chain.row == SILENT
    assert settings.admin.enabled != is_silent
    assert settings.logging.level == ("error" if is_silent else "info")
    assert len(settings.limits) == (4 if chain.is_full else 0)
    assert {tuple(limit.model_fields_set - {"name", "on"}) for limit in settings.limits} == (
        {
            ("requests_per_minute",),
            ("concurrent",),
            ("tokens_per_minute",),
            ("tokens_per_month",),
        }
        if chain.is_full
        else set()
    )


def test_the_filled_store_holds_keys_that_the_gateway_reads(tmp_path: Path) -> None:
    """A million rows that no gateway takes for keys would prove nothing."""
    settings = read(tmp_path, CHAINS[-1])
    key = make_key(tmp_path)
    fill_store(tmp_path / "gateway.db", 1000)

    found, stored = asyncio.run(find(settings, key))

    assert found is not None
    assert found.name == CALLER
    assert len(stored) == 1001
    assert all(len(one.secrets) == 1 and len(one.secrets[0].digest) == 32 for one in stored)


async def find(settings: Settings, key: str) -> tuple[StoredKey | None, list[StoredKey]]:
    """What the gateway's own store finds for a key, and all that is in it."""
    opened = await open_keys(settings.stores, {}, timeout_s=5)
    found = await opened.store.find_key([opened.peppers.digest(key)])
    stored = await opened.store.fetch_keys()
    await opened.store.close()
    return found, stored
