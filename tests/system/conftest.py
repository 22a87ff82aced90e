"""What the system tests share.

The rule here: they run on the loop of `gateway serve`; a module that says `BOTH_LOOPS = True` runs
on asyncio's own too, because TLS differs between them.
"""

import asyncio
from collections.abc import Callable

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loops of one test."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "uvloop": uvloop.new_event_loop
    }
    if isinstance(item, pytest.Function) and getattr(item.module, "BOTH_LOOPS", False):
        factories["asyncio"] = asyncio.new_event_loop
    return factories
