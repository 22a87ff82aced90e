"""Playing a plan: time, back-pressure and endings."""

import asyncio

import pytest

from gateway.simulator import Simulator


async def test_a_pace_stays_true(ask, simulator):
    """Gaps add up from the start, so that a late write does not shift all later ones."""
    await ask({"count": 20, "gap_s": 0.002})

    served = simulator.journal.last
    assert served.done_s - served.received_s >= 20 * 0.002


async def test_time_passes_before_the_head_and_the_first_token(peer, simulator):
    """Deadlines on both are tested against these waits."""
    task = asyncio.ensure_future(peer.ask({"head_delay_s": 0.01, "ttft_s": 0.01, "count": 1}))
    await simulator.journal.wait_for_count(1)
    served = simulator.journal.last

    before_head = served.writes_sent
    await simulator.journal.wait_for(lambda s: s.writes_sent == 1)
    tokens_with_head = served.content_tokens_sent
    await task

    assert (before_head, tokens_with_head, served.content_tokens_sent) == (0, 0, 1)
    assert served.done_s - served.received_s >= 0.02


@pytest.mark.parametrize("wish", ["stall", "stall-comments", "slow", "giant-line"])
async def test_stopping_ends_any_play(peer, wish):
    """Timers must not outlive their connection."""
    simulator = Simulator()
    await simulator.start()
    peer.simulator = simulator
    task = asyncio.ensure_future(peer.ask(wish))
    await simulator.journal.wait_for_count(1)

    await simulator.stop()
    await task

    assert simulator.journal.open == 0
