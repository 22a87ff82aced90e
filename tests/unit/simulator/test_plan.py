"""Whether a plan is a whole message."""

import pytest

from gateway.simulator.plan import Ending, Plan


@pytest.mark.parametrize(
    ("ending", "is_cut", "is_whole"),
    [
        (Ending.KEEP, False, True),
        (Ending.CLOSE, False, True),
        (Ending.CLOSE, True, False),
        (Ending.RESET, True, False),
        (Ending.HOLD, False, False),
    ],
)
def test_a_message_is_whole_unless_it_is_cut_or_held(ending, is_cut, is_whole):
    """`finished` in the journal means this."""
    assert Plan(200, (), ending, is_cut=is_cut).is_whole == is_whole
