"""This gateway several times, with more and more of its chain switched on.

The rule here: they differ in gateway.yaml and in what is stored, and in nothing else.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.counters import run_server
from bench.programs import HOST
from bench.systems import GATEWAY_SETTINGS, Site, System, launch_gateway, make_gateway_directory
from gateway.config.load import load_settings
from gateway.core.clock import system_clock
from gateway.stores.issuing import check_wanted, create_key
from gateway.stores.opening import open_keys

COMMON = "gateway, "
BARE = f"{COMMON}bare"
FULL = f"{COMMON}full"
FULL_REDIS = f"{COMMON}full, redis"
FULL_KEYS = f"{COMMON}full, many keys"
SILENT = f"{COMMON}no log or metrics"
HEARD = f"{COMMON}log and metrics"

STORED_KEYS = "auth: [{kind: gateway_key}]\n"
# Four rules that are for every request and refuse none; each counts in another way.
FOUR_RULES = """\
limits:
  - {name: pace, on: principal, requests_per_minute: 60000000}
  - {name: places, on: principal, concurrent: 100000}
  - {name: throughput, on: [principal, model], tokens_per_minute: 60000000000}
  - {name: month, on: everything, tokens_per_month: 900000000000000}
"""
SHARED_COUNTERS = "stores: {{counters: '{address}'}}\n"
# Kept as soon as there are limits; here it says so.
LEDGER = "ledger: {enabled: true}\n"
CHAIN_SETTINGS = STORED_KEYS + FOUR_RULES + LEDGER
FULL_SETTINGS = GATEWAY_SETTINGS + CHAIN_SETTINGS
# Nothing is counted where there is no admin listener to show it.
SILENT_SETTINGS = (
    f"server: {{host: {HOST}}}\nadmin: {{enabled: false}}\nlogging: {{level: error}}\n"
    + CHAIN_SETTINGS
)

CALLER = "bench"
STORE_S = 10.0
# SQLite makes a million of each in a few seconds; sorted, because a digest is a place in the file.
FILLING = """\
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})
INSERT INTO gateway_keys
  (name, tenant, groups, providers, models, networks, created_at, revision)
  SELECT printf('key-%08d', n), '', '[]', '[]', '[]', '[]', 0, n + 1 FROM number;
INSERT INTO gateway_key_secrets (digest, name, pepper, prefix, created_at)
  SELECT randomblob(32) AS digest, name, 1, 'gw_00000', 0 FROM gateway_keys
  WHERE name LIKE 'key-%' ORDER BY digest;
"""


@dataclass(frozen=True, slots=True)
class Chain:
    """One of the gateways: its row in the report, and what is on."""

    row: str
    settings: str
    yardstick: str = BARE  # the row that it is compared with; none: it is a yardstick itself
    stored_keys: int = 0  # beside the caller's own
    has_redis: bool = False

    @property
    def is_full(self) -> bool:
        """Whether callers need a key, and rules count what they do."""
        return STORED_KEYS in self.settings


def list_chains(stored_keys: int, *, has_redis: bool) -> tuple[Chain, ...]:
    """The gateways to compare, the bare one first."""
    redis = (Chain(FULL_REDIS, FULL_SETTINGS, has_redis=True),)
    return (
        # Nobody says who may call, so whoever calls from this machine may.
        Chain(BARE, GATEWAY_SETTINGS, yardstick=""),
        Chain(FULL, FULL_SETTINGS),
        *(redis if has_redis else ()),
        Chain(SILENT, SILENT_SETTINGS, yardstick=""),
        Chain(HEARD, FULL_SETTINGS, yardstick=SILENT),
        Chain(FULL_KEYS, FULL_SETTINGS, yardstick=FULL, stored_keys=stored_keys),
    )


@contextmanager
def run_chain(site: Site, chain: Chain) -> Iterator[System]:
    """Run one of them, with a key of its store."""
    with ExitStack() as stack:
        settings = chain.settings
        if chain.has_redis:
            server = run_server(site.make_directory("valkey"), site.cores)
            address = stack.enter_context(server)
            settings += SHARED_COUNTERS.format(address=address)
        directory = make_gateway_directory(site, settings)
        key = make_key(directory) if chain.is_full else None
        fill_store(directory / "gateway.db", chain.stored_keys)
        yield stack.enter_context(launch_gateway(site, directory, key))


def make_key(directory: Path) -> str:
    """A new key in the store of a gateway, which this makes."""

    async def make() -> str:
        stores = load_settings(directory / "gateway.yaml", {}).stores
        opened = await open_keys(stores, {}, timeout_s=STORE_S)
        now = int(system_clock())
        wanted = check_wanted(CALLER, tenant="", lists={}, expires=None, now=now)
        key, _ = await create_key(opened, wanted, now)
        await opened.store.close()
        return key

    return asyncio.run(make())


def fill_store(file: Path, count: int) -> None:
    """Put so many keys into an SQLite store that nobody has open."""
    if not count:
        return
    with sqlite3.connect(file) as connection:
        connection.executescript(FILLING.format(count=count))
    connection.close()
