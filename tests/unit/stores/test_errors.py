"""What can be wrong with a store."""

import pytest

from gateway.stores.errors import CountersDownError, StoreDownError, StoreError


def test_counters_that_are_down_say_which_rule_minds() -> None:
    """The log has to name it; and whoever waits out an outage waits out this one."""
    with pytest.raises(StoreDownError, match="do not answer") as raised:
        raise CountersDownError(7)

    assert isinstance(raised.value, CountersDownError | StoreError)
    assert getattr(raised.value, "rule", None) == 7
