"""Plans: time and ending, without a socket."""

import pytest

from gateway.simulator.asking import Ask
from gateway.simulator.choosing import read_directive
from gateway.simulator.plan import Ending
from gateway.simulator.planning import build_plan
from gateway.simulator.presets import PRESETS


def _plan(wish, **ask):
    return build_plan(read_directive(wish), Ask(**{"stream": True, **ask}), "id")


def test_the_first_token_waits_and_the_others_keep_their_gap():
    """Head and role come at once: a gateway must not take them for content."""
    plan = _plan({"count": 3, "head_delay_s": 1, "ttft_s": 2, "gap_s": 3})

    waits = [write.delay_s for write in plan.writes]
    assert waits == [1, 2, 3, 3, 3, 0, 0]


def test_a_documents_head_waits_for_its_body():
    """No server knows a status before its answer."""
    plan = _plan({"ttft_s": 2, "head_delay_s": 1}, stream=False)

    assert [write.delay_s for write in plan.writes] == [3]


def test_a_flood_is_one_piece_many_times():
    """A million events must not cost the simulator a million pieces."""
    plan = _plan({"junk": {"kind": "empty_events", "count": 1_000_000}})

    assert len({id(write.wire) for write in plan.writes}) < 40


@pytest.mark.parametrize(
    ("wish", "ending"),
    [
        ("plain", Ending.KEEP),
        ("until-eof", Ending.CLOSE),
        ("drop", Ending.CLOSE),
        ("cut", Ending.CLOSE),
        ("reset", Ending.RESET),
        ("stall", Ending.HOLD),
        ({"stall": {"for_s": 1}}, Ending.KEEP),
    ],
)
def test_a_plan_ends_as_it_is_told(wish, ending):
    """What happens to the connection is part of the answer."""
    assert _plan(wish).ending is ending


@pytest.mark.parametrize("stream", [True, False])
def test_every_preset_makes_a_plan_that_counts_right(stream):
    """A preset that fails when it is first asked for is found out too late."""
    for name in sorted(PRESETS):
        plan = _plan(name, stream=stream)

        assert plan.status in range(200, 600), name
        assert all(write.wire or write.delay_s for write in plan.writes), name
