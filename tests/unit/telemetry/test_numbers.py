"""The numbers of several workers as one."""

import pytest

from gateway.telemetry.definitions import (
    ADDED_GAP,
    CONFIG_GENERATION,
    CPU,
    DEGRADED,
    IN_FLIGHT,
    REFUSALS,
    RESIDENT,
)
from gateway.telemetry.numbers import (
    Numbers,
    Spread,
    add_up,
    continue_from,
    is_known,
    lone,
    numbers_of,
    remain,
)


def spread(*filled: int, total: float) -> Spread:
    """A histogram with one value in each of these buckets."""
    counts = [0] * (len(ADDED_GAP.bounds) + 1)
    for place in filled:
        counts[place] += 1
    return Spread(counts, total)


def as_dict(numbers: list[Numbers]) -> dict[str, dict[tuple[str, ...], object]]:
    """By name and labels."""
    return {one.name: dict(one.values) for one in numbers}


def test_each_metric_becomes_one_in_its_own_way() -> None:
    """A sum of generations, or of flags, would mean nothing."""
    first = [
        numbers_of(REFUSALS, [(("few", "false"), 2), (("old", "false"), 1)]),
        lone(IN_FLIGHT, 3),
        numbers_of(DEGRADED, [(("counters",), 1)]),
        lone(CONFIG_GENERATION, 2),
        lone(RESIDENT, 100),
        lone(ADDED_GAP, spread(0, 3, total=1.0)),
    ]
    second = [
        numbers_of(REFUSALS, [(("few", "false"), 5)]),
        lone(IN_FLIGHT, 4),
        numbers_of(DEGRADED, [(("counters",), 0)]),
        lone(CONFIG_GENERATION, 1),
        lone(RESIDENT, 200),
        lone(ADDED_GAP, spread(0, total=0.5)),
    ]

    together = as_dict(add_up({"0": first, "1": second}))

    assert together == {
        REFUSALS.name: {("few", "false"): 7, ("old", "false"): 1},
        IN_FLIGHT.name: {(): 7},
        DEGRADED.name: {("counters",): 1},
        CONFIG_GENERATION.name: {(): 1},
        RESIDENT.name: {("0",): 100, ("1",): 200},
        ADDED_GAP.name: {(): spread(0, 0, 3, total=1.5)},
    }


def test_what_a_worker_counted_is_left_when_it_is_gone() -> None:
    """A rate over a counter that falls is a spike that never was."""
    numbers = [lone(IN_FLIGHT, 3), lone(CPU, 9.0), lone(ADDED_GAP, spread(1, total=1.0))]

    assert [one.name for one in remain(numbers)] == [CPU.name, ADDED_GAP.name]


def test_whoever_takes_the_place_of_another_counts_on() -> None:
    """And keeps what it has not counted itself yet."""
    before = [
        numbers_of(REFUSALS, [(("few", "false"), 2), (("old", "false"), 1)]),
        lone(IN_FLIGHT, 3),
        lone(ADDED_GAP, spread(1, total=1.0)),
        lone(CPU, 9.0),
    ]
    own = [
        numbers_of(REFUSALS, [(("few", "false"), 1), (("new", "true"), 1)]),
        lone(IN_FLIGHT, 1),
        lone(ADDED_GAP, spread(1, total=0.5)),
    ]

    assert as_dict(continue_from(before, own)) == {
        REFUSALS.name: {("few", "false"): 3, ("old", "false"): 1, ("new", "true"): 1},
        IN_FLIGHT.name: {(): 1},
        ADDED_GAP.name: {(): spread(1, 1, total=1.5)},
        CPU.name: {(): 9.0},
    }


def test_numbers_of_another_release_are_told_from_ours() -> None:
    """A package that was upgraded under a running gateway: a worker that dies comes back as new."""
    known = [
        numbers_of(REFUSALS, [(("few", "false"), 2)]),
        lone(ADDED_GAP, spread(0, total=1.0)),
        lone(IN_FLIGHT, 3),
    ]
    unknown = [
        Numbers("gateway_new_total", [((), 1)]),
        numbers_of(REFUSALS, [(("few",), 2)]),
        lone(ADDED_GAP, Spread([1, 2], 1.0)),
        lone(ADDED_GAP, 1),
        lone(IN_FLIGHT, spread(0, total=1.0)),
    ]

    assert [is_known(one) for one in [*known, *unknown]] == [True] * 3 + [False] * 5


def test_a_histogram_is_not_added_to_a_number() -> None:
    """Two releases that meet in one place."""
    with pytest.raises(TypeError, match="histogram"):
        add_up({"0": [lone(ADDED_GAP, 1)], "1": [lone(ADDED_GAP, spread(0, total=0.5))]})
