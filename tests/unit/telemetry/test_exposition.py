"""The text of a scrape, held against what prometheus-client writes."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from typing_extensions import override

from gateway.telemetry.definitions import (
    ADDED,
    ADDED_GAP,
    CREDENTIAL_STATE,
    IN_FLIGHT,
    REFUSALS,
    labels_of,
)
from gateway.telemetry.exposition import render_numbers
from gateway.telemetry.numbers import Numbers, Spread, lone, numbers_of


def spread(definition_bounds: int, total: float) -> Spread:
    """A histogram with some values in each bucket."""
    return Spread(list(range(definition_bounds + 1)), total)


NUMBERS = [
    numbers_of(REFUSALS, [(("few", "false"), 2), (('a "b" \\ c\nd', "true"), 1e21)]),
    lone(IN_FLIGHT, 3),
    numbers_of(ADDED, [(("groq",), spread(len(ADDED.bounds), 0.1 + 0.2))]),
    lone(ADDED_GAP, spread(len(ADDED_GAP.bounds), 1e-9)),
    numbers_of(CREDENTIAL_STATE, []),
]


class Theirs(Collector):
    """The same numbers, for prometheus-client."""

    def __init__(self, numbers: Iterable[Numbers]) -> None:
        self._numbers = list(numbers)

    @override
    def collect(self) -> Iterator[Metric]:
        for one in self._numbers:
            yield as_family(one)


def as_family(one: Numbers) -> Metric:
    """One metric, as its library has it."""
    definition = one.definition
    kinds = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    family = kinds[definition.kind](
        definition.name.removesuffix("_total"), definition.help, labels=labels_of(definition)
    )
    bounds = (*map(str, definition.bounds), "+Inf")
    for key, value in one.values:
        if isinstance(value, Spread):
            sums = [sum(value.counts[: place + 1]) for place in range(len(bounds))]
            family.add_metric(key, list(zip(bounds, sums, strict=True)), value.total)
        else:
            family.add_metric(key, value)
    return family


def test_it_says_what_the_library_would_say() -> None:
    """Names, help, kinds, labels, values and their order within a metric."""
    registry = CollectorRegistry()
    registry.register(Theirs(NUMBERS))
    theirs = {
        family.name: family
        for family in text_string_to_metric_families(generate_latest(registry).decode())
    }

    ours = {
        family.name: family
        for family in text_string_to_metric_families(render_numbers(NUMBERS).decode())
    }

    assert ours == theirs


def test_the_order_is_that_of_the_page() -> None:
    """Whoever reads a scrape finds things where the page has them."""
    text = render_numbers(reversed(NUMBERS)).decode()

    heads = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert heads == [
        REFUSALS.name,
        ADDED.name,
        ADDED_GAP.name,
        IN_FLIGHT.name,
        CREDENTIAL_STATE.name,
    ]
