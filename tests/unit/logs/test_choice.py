"""Everything that was asked for has to hold."""

import pytest

from gateway.core.moments import parse_moment
from gateway.logs.choice import Choice, is_slow
from gateway.logs.conditions import parse_condition
from tests.plugins.log_lines import other, settled


def test_all_of_it_has_to_hold() -> None:
    """Each word narrows what is shown."""
    choice = Choice([parse_condition("provider=groq"), parse_condition("status>=500")])

    assert choice.takes(settled(status=502))
    assert not choice.takes(settled(status=200))
    assert not choice.takes(settled(status=502, provider="openai"))


def test_a_span_includes_its_beginning_and_not_its_end() -> None:
    """Two spans that touch share no line and miss none."""
    noon, one = (parse_moment(f"2026-11-28T{hour}:00", 0) for hour in (12, 13))
    choice = Choice(since=noon, until=one)

    assert [
        choice.takes(settled(at))
        for at in (
            "2026-11-28T11:59:59.999Z",
            "2026-11-28T12:00:00.000Z",
            "2026-11-28T12:59:59.999Z",
            "2026-11-28T13:00:00.000Z",
        )
    ] == [False, True, True, False]


@pytest.mark.parametrize(
    ("fields", "slow"),
    [
        ({"first_content_s": 2.0, "duration_s": 3.0}, True),
        ({"first_content_s": 0.2, "duration_s": 60.0}, False),  # a long answer is not a slow one
        ({"first_content_s": None, "duration_s": 30.0}, True),  # waited in vain
        ({"first_content_s": None, "duration_s": None}, False),
        ({"first_content_s": "2"}, False),
    ],
)
def test_slow_is_what_somebody_waited_for(fields: dict[str, object], *, slow: bool) -> None:
    """People wait for the first word; the rest they read."""
    assert is_slow(settled(**fields), 2.0) is slow
    assert Choice(slow_s=2.0).takes(settled(**fields)) is slow


def test_what_is_no_exchange_is_not_slow() -> None:
    """A start has no wait."""
    assert not Choice(slow_s=0.0).takes(other("gateway.started"))


def test_looking_inside_costs_and_is_known() -> None:
    """A summary without conditions decodes a third less."""
    assert not Choice(since=1.0).looks_inside
    assert Choice(slow_s=1.0).looks_inside
