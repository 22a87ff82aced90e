"""From the settings to a store of counters.

The rule here: redis-py is imported only if the counters are in Redis.
"""

from collections.abc import Mapping

from gateway.config.settings import Settings
from gateway.config.stores import StoresError
from gateway.core.extras import line_that_installs
from gateway.stores.counters import CounterStore
from gateway.stores.errors import StoreError
from gateway.stores.memory_counters import MemoryCounters


def make_counters(
    settings: Settings, environ: Mapping[str, str] | None = None, *, is_restarted: bool = False
) -> CounterStore:
    """The store that `stores.counters` names; StoreError if it is unknown or unusable.

    A restarted worker does not wait for Redis: whatever ended the worker may have ended Redis too.
    """
    stores = settings.stores
    try:
        address = stores.find_counters(environ)
    except StoresError as error:
        raise StoreError(str(error)) from None
    if address is None:
        return MemoryCounters()
    try:
        # redis-py takes 0.1 s to import, and is an optional extra.
        from gateway.stores.redis_counters import RedisCounters  # noqa: PLC0415 - see above
        from gateway.stores.shared_counters import SharedCounters  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "redis":
            raise
        raise StoreError(
            "stores.counters names a Redis, which needs the package redis: "
            f"{line_that_installs('redis')}"
        ) from None
    return SharedCounters(
        RedisCounters(address),
        shares=stores.instances * settings.server.workers,
        is_required=stores.require_counters and not is_restarted,
    )
