"""One line for each change of state."""

from gateway.ledger.condition import Condition
from tests.plugins.chain import LogLines


def test_each_change_is_said_once(log_lines: LogLines) -> None:
    """However often it is tried meanwhile: a full disk must not fill up with lines about it."""
    condition = Condition("ledger.store_down", "ledger.store_up")
    condition.mend()
    for _ in range(100):
        condition.fail("no space left")
    assert condition.is_failing
    for _ in range(100):
        condition.mend()
    condition.fail("again")

    assert [line["reason"] for line in log_lines.find("ledger.store_down")] == [
        "no space left",
        "again",
    ]
    assert len(log_lines.find("ledger.store_up")) == 1
