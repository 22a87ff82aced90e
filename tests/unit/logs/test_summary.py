"""The sums of a log."""

from typing import Any

import msgspec
import pytest

from gateway.logs.summary import BY, MAX_CODES, MAX_GROUPS, NONE, OTHERS, Settled, Summary
from tests.plugins.log_lines import settled


def summed(*lines: dict[str, Any], by: tuple[str, ...] = ()) -> Summary:
    """Sum up lines."""
    summary = Summary(by)
    for line in lines:
        summary.add(msgspec.convert(line, Settled))
    return summary


def test_exchanges_are_counted_with_how_they_ended() -> None:
    """The share that finished is the first thing anybody asks."""
    failed = settled(outcome="upstream_failed", error_code="upstream_reset")

    ((of, found),) = summed(settled(), failed, settled(), failed, failed).groups()

    assert of == ()
    assert (found.exchanges, found.finished) == (5, 2)
    assert dict(found.codes) == {"upstream_reset": 3}


def test_tokens_and_money_add_up_and_say_what_is_missing() -> None:
    """A sum of money that leaves something out is a wrong bill."""
    unpriced = settled(cost_micros=None)
    unused = settled(tokens_in=None, tokens_out=None, cost_micros=None)

    ((_, found),) = summed(settled(), settled(), unpriced, unused).groups()

    assert (found.tokens_in, found.tokens_out) == (30, 60)
    assert (found.cost_micros, found.unpriced) == (60, 1)


def test_times_of_some_are_of_those_that_have_them() -> None:
    """Who got no content is in no quantile of the time to it."""
    ((_, found),) = summed(
        settled(first_content_s=0.1), settled(first_content_s=None, duration_s=30.0)
    ).groups()

    assert found.first_content_s.at(0.99) == pytest.approx(0.1, rel=0.01)
    assert found.duration_s.at(0.99) == pytest.approx(30.0, rel=0.01)


def test_groups_are_those_of_most_exchanges_first() -> None:
    """The top of the table is where to look."""
    lines = [settled(provider="a"), settled(provider="b"), settled(provider="b")]

    groups = summed(*lines, settled(provider=None), by=("provider",)).groups()

    assert [(of, found.exchanges) for of, found in groups] == [
        (("b",), 2),
        ((NONE,), 1),
        (("a",), 1),
    ]


@pytest.mark.parametrize(("by", "of"), [("hour", "2026-11-28T12"), ("day", "2026-11-28")])
def test_hours_and_days_are_in_their_order(by: str, of: str) -> None:
    """A table over time is read from top to bottom."""
    lines = [settled(), settled("2026-11-27T23:00:00.000Z"), settled()]

    groups = summed(*lines, by=(by,)).groups()

    assert groups[0][0] < groups[1][0]
    assert groups[1][0] == (of,)


def test_every_group_can_be_asked_for() -> None:
    """Each of them is a field of an exchange, or a part of its time."""
    (group,) = summed(settled(), by=tuple(BY)).groups()

    assert len(group[0]) == len(BY)
    assert set(BY) - {"day", "hour"} <= set(settled())


def test_the_span_does_not_depend_on_the_order() -> None:
    """Files of several workers overlap."""
    times = [f"2026-11-2{day}T00:00:00.000Z" for day in (7, 6, 8)]

    summary = summed(*map(settled, times))

    assert (summary.first, summary.last) == (times[1], times[2])


def test_memory_does_not_grow_with_the_names_of_callers() -> None:
    """Models are what callers write; a summary of them has an end."""
    lines = [settled(model=f"m{number}") for number in range(MAX_GROUPS + 50)]

    groups = summed(*lines, by=("model",)).groups()

    assert len(groups) == MAX_GROUPS + 1
    assert groups[0][0] == (OTHERS,)
    assert groups[0][1].exchanges == 50


def test_codes_are_bounded_too() -> None:
    """Somebody else's log may have any."""
    lines = [settled(error_code=f"c{number}") for number in range(MAX_CODES + 5)]

    ((_, found),) = summed(*lines).groups()

    assert len(found.codes) == MAX_CODES + 1
    assert found.codes[OTHERS] == 5


def test_programs_get_all_of_it() -> None:
    """Micros as whole numbers, seconds with microseconds."""
    ((_, found),) = summed(settled()).groups()

    made = found.as_object()

    assert made["cost_micros"] == 30
    assert made["duration_s"]["p50"] == pytest.approx(1.0, rel=0.01)
    assert made["added_s"]["p99"] == round(made["added_s"]["p99"], 6)
