"""From the settings to a store of counters."""

import subprocess
import sys

import pytest

from gateway.config.settings import Settings
from gateway.core.extras import line_that_installs
from gateway.stores.errors import StoreDownError, StoreError
from gateway.stores.memory_counters import MemoryCounters
from gateway.stores.opening_counters import make_counters
from gateway.stores.shared_counters import SharedCounters
from tests.plugins.redis_server import RedisServer

WITHOUT_REDIS = """
import sys
sys.modules["redis"] = None  # as where the extra is not installed
from gateway.config.settings import Settings
from gateway.stores.opening_counters import make_counters
make_counters(Settings.model_validate({"stores": {"counters": "redis://localhost"}}))
"""


def settings_of(counters: str, **stores: object) -> Settings:
    """Settings that name a place for counters."""
    return Settings.model_validate({"stores": {"counters": counters, **stores}})


def test_counters_are_in_memory_where_nothing_is_written() -> None:
    """A laptop needs no server."""
    assert isinstance(make_counters(Settings()), MemoryCounters)


async def test_counters_are_in_redis_where_one_is_named(valkey: RedisServer) -> None:
    """By an address or by a variable that holds one."""
    for counters in (valkey.url, "${COUNTERS}"):
        store = make_counters(settings_of(counters), {"COUNTERS": valkey.url})
        await store.open()
        await store.close()

        assert isinstance(store, SharedCounters)


def test_a_variable_that_is_not_set_is_named() -> None:
    """And what it might hold is not guessed."""
    with pytest.raises(StoreError, match=r"stores.counters needs the variable \$\{COUNTERS\}"):
        make_counters(settings_of("${COUNTERS}"), {})


async def test_only_the_first_start_waits_for_redis(own_redis: RedisServer) -> None:
    """J01: a mistyped address is told; a worker that died during an outage comes back."""
    own_redis.kill()
    first, second = (
        make_counters(settings_of(own_redis.url), is_restarted=restarted)
        for restarted in (False, True)
    )
    third = make_counters(settings_of(own_redis.url, require_counters=False))

    with pytest.raises(StoreDownError):
        await first.open()
    await second.open()
    await third.open()

    for store in (first, second, third):
        await store.close()


def test_a_missing_extra_says_what_to_install() -> None:
    """The default install has no redis-py."""
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_REDIS], capture_output=True, text=True, check=False
    )

    assert line_that_installs("redis") in ended.stderr
    assert "StoreError" in ended.stderr
