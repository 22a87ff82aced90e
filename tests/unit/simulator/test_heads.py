"""Response heads."""

import pytest

from gateway.simulator.asking import Ask
from gateway.simulator.blocks import HttpStyle
from gateway.simulator.heads import choose_framing, reason_of


@pytest.mark.parametrize(
    ("status", "reason"), [(200, "OK"), (529, "Site Overloaded"), (799, "Unusual")]
)
def test_every_status_has_a_reason(status, reason):
    """An empty reason phrase is a fault of its own."""
    assert reason_of(status) == reason


@pytest.mark.parametrize(
    ("is_stream", "is_old", "framing"),
    [(True, False, "chunked"), (True, True, "eof"), (False, False, "length")],
)
def test_framing_fits_the_request(is_stream, is_old, framing):
    """As real servers choose it."""
    ask = Ask(is_http_1_0=is_old)

    assert choose_framing(HttpStyle(), ask, is_stream=is_stream) == framing
