"""This gateway several times, with more and more of its chain switched on.

The rule here: they differ in gateway.yaml and in what is stored, and in nothing else.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.counters import run_server
from bench.programs import ROOT, ProgramError
from bench.systems import GATEWAY_SETTINGS, Site, System, launch_gateway, make_gateway_directory

BARE = "gateway, bare"
FULL = "gateway, full"
FULL_REDIS = "gateway, full, redis"
FULL_KEYS = "gateway, full, many keys"

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
FULL_SETTINGS = GATEWAY_SETTINGS + STORED_KEYS + FOUR_RULES

CALLER = "bench"
COMMAND_S = 60
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
    is_full: bool = True
    stored_keys: int = 0  # beside the caller's own
    has_redis: bool = False


def list_chains(stored_keys: int, *, has_redis: bool) -> tuple[Chain, ...]:
    """The gateways to compare, the bare one first."""
    redis = (Chain(FULL_REDIS, FULL_SETTINGS, has_redis=True),)
    return (
        # Nobody says who may call, so whoever calls from this machine may.
        Chain(BARE, GATEWAY_SETTINGS, is_full=False),
        Chain(FULL, FULL_SETTINGS),
        *(redis if has_redis else ()),
        Chain(FULL_KEYS, FULL_SETTINGS, stored_keys=stored_keys),
    )


@contextmanager
def run_chain(site: Site, chain: Chain) -> Iterator[System]:
    """Run one of them, with a key that was made by the gateway's own command."""
    with ExitStack() as stack:
        settings = chain.settings
        if chain.has_redis:
            server = run_server(site.make_directory("valkey"), site.cores)
            settings += SHARED_COUNTERS.format(address=stack.enter_context(server))
        directory = make_gateway_directory(site, settings)
        key = make_key(directory) if chain.is_full else None
        fill_store(directory / "gateway.db", chain.stored_keys)
        yield stack.enter_context(launch_gateway(site, directory, key))


def make_key(directory: Path) -> str:
    """A new key in the gateway's store, which this makes."""
    command = [sys.executable, "-m", "gateway", "keys", "create", CALLER]
    done = subprocess.run(
        [*command, "--config", str(directory / "gateway.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    if done.returncode:
        raise ProgramError(f"`gateway keys create` ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.strip()


def fill_store(file: Path, count: int) -> None:
    """Put so many keys into an SQLite store that nobody has open."""
    if not count:
        return
    with sqlite3.connect(file) as connection:
        connection.executescript(FILLING.format(count=count))
    connection.close()
