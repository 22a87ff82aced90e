"""Importing without looking for garbage."""

import gc

import pytest

from gateway.core.collector import nothing_collected


def test_nothing_is_looked_for_meanwhile_and_nothing_looked_through_afterwards() -> None:
    """What has come by then stays."""
    with nothing_collected():
        came = [[] for _ in range(1000)]
        meanwhile = gc.isenabled()
        before = gc.get_freeze_count()

    assert not meanwhile
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(came)


def test_what_fails_leaves_the_collector_at_work() -> None:
    """Whoever shows why, and goes on, must not grow for ever."""
    with pytest.raises(ImportError), nothing_collected():
        raise ImportError

    assert gc.isenabled()
