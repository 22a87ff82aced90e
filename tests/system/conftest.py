"""What the system tests share.

The rule here: they run on the loop of `gateway serve`. A module that says `BOTH_LOOPS = True` runs
on asyncio's own too, because TLS differs between them; one that says `PLAIN_LOOP = True` runs on
asyncio's alone: it starts programs, for which uvloop may wait forever when it is closed.
"""

import asyncio
from collections.abc import Callable

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loops of one test."""
    if isinstance(item, pytest.Function) and getattr(item.module, "PLAIN_LOOP", False):
        return {"asyncio": asyncio.new_event_loop}
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "uvloop": uvloop.new_event_loop
    }
    if isinstance(item, pytest.Function) and getattr(item.module, "BOTH_LOOPS", False):
        factories["asyncio"] = asyncio.new_event_loop
    return factories
