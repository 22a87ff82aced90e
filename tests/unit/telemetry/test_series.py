"""Numbers that are read when somebody asks."""

from gateway.telemetry.definitions import REFUSALS
from gateway.telemetry.series import Counts, Distribution


def test_a_counter_counts_for_each_set_of_labels() -> None:
    """In the order of the labels."""
    counts = Counts(REFUSALS)

    counts.add(("a", "false"))
    counts.add(("a", "false"), 2)
    counts.add(("b", "true"))

    read = counts.read()
    assert read.name == "gateway_limit_refusals_total"
    assert dict(read.values) == {("a", "false"): 3, ("b", "true"): 1}


def test_beyond_its_bound_a_counter_counts_what_is_new_as_other() -> None:
    """L03: nothing is lost, and nothing grows."""
    counts = Counts(REFUSALS, most=2)

    for number in range(10):
        counts.add((f"r{number}", "true"))
    counts.add(("r1", "true"))

    assert dict(counts.read().values) == {
        ("r0", "true"): 1,
        ("r1", "true"): 2,
        ("other", "other"): 8,
    }


def test_a_value_on_a_bound_is_below_it() -> None:
    """Prometheus' buckets are "at most"."""
    distribution = Distribution((1.0, 2.0))

    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        distribution.add(value)

    read = distribution.read()
    assert (read.counts, read.total) == ([2, 2, 1], 14.0)
    distribution.add(1)
    assert read.counts == [2, 2, 1]
