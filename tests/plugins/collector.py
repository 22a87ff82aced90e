"""Python's garbage collector looks at what a test makes, and not at the suite itself.

The rule here: what has been imported and collected is frozen once, before the first test, and what
a file of tests has left is frozen after it. A fault test collects at its end, so that what was
never awaited says so. With eight thousand tests in the heap, and what those before it have left,
that took 0.5 s each time, and 0.02 s without. Until that first test nothing is looked for: all that
is imported and collected stays, and looking takes a twelfth of it.
"""

import gc
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Look for nothing while tests are collected."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Freeze the modules, the tests and what pytest knows about them."""
    freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Leave the collector as it was, wherever the collection ended."""
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[object]:
    """Freeze what a file has left: caches, servers of the session, reports.

    Where tests are run, and not where workers of xdist report: there each line is another file's.
    """
    answer = yield
    if nextitem is not None and nextitem.path != item.path:
        freeze()
    return answer


def freeze() -> None:
    """Collect what is over, and look at the rest never again."""
    gc.collect()
    gc.freeze()
