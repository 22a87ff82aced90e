"""Where an exchange gets its place in a trace. What comes of it: tests/system/test_tracing.py."""

from gateway.app import CHAIN, choose_chain
from gateway.config.settings import Settings
from gateway.config.tracing import TracingSpec
from gateway.middleware.assign_request_id import assign_request_id
from gateway.middleware.begin_trace import begin_trace


def test_it_comes_right_after_what_begins_the_exchange() -> None:
    """So that requests that are refused further in are traced too."""
    chain = choose_chain(Settings(tracing=TracingSpec()))

    assert chain.index(begin_trace) == chain.index(assign_request_id) + 1
    assert tuple(one for one in chain if one is not begin_trace) == CHAIN
    assert choose_chain(Settings()) is CHAIN
