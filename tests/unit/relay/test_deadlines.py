"""What is due when, on a clock that the test moves."""

import pytest

from gateway.config.provider_blocks import TimeoutsSpec
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamFirstContentTimeoutError,
    UpstreamIdleTimeoutError,
    UpstreamRequestTimeoutError,
    UpstreamTotalTimeoutError,
)
from gateway.relay.deadlines import DONE_LINGER_S, HELD_UP_S, Deadlines

TIMEOUTS = TimeoutsSpec(request_body_s=30, first_content_s=120, idle_s=60, total_s=3600)


def make_deadlines(**fields: object) -> Deadlines:
    """The deadlines of an attempt that was sent at 1000."""
    usual = {
        "label": "Groq",
        "timeouts": TIMEOUTS,
        "first_content_s": 120.0,
        "total_at": 4600.0,
        "commit_at": 1010.0,
        "comment_every_s": 15.0,
        "sent_at": 1000.0,
        "relayed_at": 1000.0,
    }
    return Deadlines(**{**usual, **fields})


@pytest.mark.parametrize(
    ("fields", "is_sending", "is_committed", "due_at"),
    [
        ({}, False, False, 1010.0),
        # Content may come at once and fall silent: looked at that early, no timer is moved.
        ({"commit_at": 9000.0}, False, False, 1060.0),
        ({"commit_at": 9000.0, "first_content_s": 7.0}, False, False, 1007.0),
        ({"commit_at": 9000.0}, True, False, 1030.0),
        ({}, False, True, 1015.0),
        ({"content_at": 1100.0, "relayed_at": 1100.0}, False, True, 1115.0),
        ({"content_at": 1100.0, "comment_every_s": 900.0}, False, True, 1160.0),
        ({"content_at": 1100.0, "comment_every_s": 9e9, "is_paused": True}, False, True, 4600.0),
        ({"content_at": 1100.0, "comment_every_s": 900.0, "done_at": 1101.0}, False, True, 1106.0),
    ],
)
def test_the_earliest_of_what_may_come_due_is_next(
    fields: dict[str, object], due_at: float, *, is_sending: bool, is_committed: bool
) -> None:
    """One timer an attempt, however many deadlines it has."""
    deadlines = make_deadlines(**fields)
    next_at = deadlines.next_at(1000.0, is_sending=is_sending, is_committed=is_committed)

    assert next_at == due_at


@pytest.mark.parametrize(
    ("fields", "now", "is_sending", "error"),
    [
        ({}, 1119.9, False, None),
        ({}, 1120.0, False, UpstreamFirstContentTimeoutError),
        ({}, 1029.9, True, None),
        ({}, 1030.0, True, UpstreamRequestTimeoutError),
        ({}, 1030.0, False, None),
        ({"content_at": 1119.0}, 1120.0, False, None),
        ({"content_at": 1119.0}, 1178.9, False, None),
        ({"content_at": 1119.0}, 1179.0, False, UpstreamIdleTimeoutError),
        # Comments and keep-alives are relayed, and are no content.
        ({"content_at": 1119.0, "relayed_at": 1178.0}, 1179.0, False, UpstreamIdleTimeoutError),
        ({"content_at": 1119.0, "is_paused": True}, 1500.0, False, None),
        ({"content_at": 1119.0, "done_at": 1120.0}, 1500.0, False, None),
        ({"content_at": 4599.0}, 4600.0, False, UpstreamTotalTimeoutError),
        ({"content_at": 4599.0, "is_paused": True}, 4600.0, False, UpstreamTotalTimeoutError),
    ],
)
def test_a_deadline_that_has_passed_is_named(
    fields: dict[str, object], now: float, error: type[UpstreamError] | None, *, is_sending: bool
) -> None:
    """Only content moves the idle deadline: keep-alives once came for 17 minutes (wire 1.6)."""
    found = make_deadlines(**fields).find_overdue(now, is_sending=is_sending)

    assert type(found) is (error or type(None))
    if found is not None:
        assert "Groq" in found.public
        assert found.status == 504


def test_the_first_content_is_waited_for_from_when_the_request_was_taken() -> None:
    """A picture of many MiB on a slow line takes longer than some providers do for a word."""
    deadlines = make_deadlines(first_content_s=5.0, commit_at=9000.0)

    assert deadlines.next_at(1000.0, is_sending=True, is_committed=False) == 1005.0
    assert deadlines.find_overdue(1005.0, is_sending=True) is None
    assert deadlines.find_overdue(1010.0, is_sending=False) is None  # since when, nobody knows
    assert deadlines.find_overdue(1014.9, is_sending=False) is None
    assert deadlines.next_at(1014.9, is_sending=False, is_committed=False) == 1015.0
    overdue = deadlines.find_overdue(1015.0, is_sending=False)
    assert isinstance(overdue, UpstreamFirstContentTimeoutError)


def test_after_the_terminator_the_end_is_not_waited_for_long() -> None:
    """Some hosts leave the connection open after `[DONE]`."""
    deadlines = make_deadlines(done_at=1100.0)

    assert not deadlines.is_done_overdue(1099.0 + DONE_LINGER_S)
    assert deadlines.is_done_overdue(1100.0 + DONE_LINGER_S)


def test_after_the_terminator_no_other_deadline_counts() -> None:
    """The answer is there; it would be a pity to call it late."""
    deadlines = make_deadlines(content_at=4599.0, done_at=4599.0)

    assert deadlines.find_overdue(4603.0, is_sending=False) is None
    assert deadlines.next_at(4603.0, is_sending=False, is_committed=True) == 4599.0 + DONE_LINGER_S


def test_a_comment_is_due_after_silence_alone() -> None:
    """Content that flows is not interrupted by a comment of ours."""
    quiet = make_deadlines(content_at=1100.0, relayed_at=1100.0)
    flowing = make_deadlines(content_at=1114.0, relayed_at=1100.0)

    assert (quiet.comment_at, flowing.comment_at) == (1115.0, 1129.0)


def test_the_longest_gap_is_between_two_pieces_of_content() -> None:
    """The wait for the first one is another number."""
    deadlines = make_deadlines()

    for now in (1100.0, 1100.5, 1103.0, 1104.0):
        deadlines.note_content(now)

    assert (deadlines.content_at, deadlines.longest_gap_s) == (1104.0, 2.5)
    assert deadlines.measure_longest_gap_s(None) == 2.5
    assert deadlines.measure_longest_gap_s(1105.0) == 2.5
    assert deadlines.measure_longest_gap_s(1107.0) == 3.0
    deadlines.is_paused = True  # the silence is the caller's
    assert deadlines.measure_longest_gap_s(1107.0) == 2.5


def test_whoever_was_late_themselves_looks_once_more() -> None:
    """M08, M10: after a suspension every deadline has passed, and what came is not read yet."""
    deadlines = make_deadlines()

    assert not deadlines.forgive(0.01)
    assert deadlines.forgive(HELD_UP_S + 1)
    assert not deadlines.forgive(HELD_UP_S + 1)  # always late is no excuse
    deadlines.content_at = 1050.0
    assert deadlines.forgive(HELD_UP_S + 1)
    assert not deadlines.forgive(HELD_UP_S + 1)
