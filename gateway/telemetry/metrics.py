"""Numbers for Prometheus.

The rule here: the number of series is bounded. A label is a word of ours or a name out of the
registry; what a caller writes is never a label.
"""

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from gateway import __version__
from gateway.core.exchange import Exchange
from gateway.telemetry.exchange_fields import added_s

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"  # a provider that is not in the registry
NONE = "none"  # a request that names no provider

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560)
_ADDED_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_BYTES = tuple(float(4**power) for power in range(4, 16))  # 256 B to 1 GiB

Key = tuple[str, str, str, int]


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self, providers: Collection[str], in_flight: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._providers = frozenset(providers)
        self._exchanges = self._counter(
            "exchanges", "Settled exchanges.", ["provider", "dialect", "outcome", "status"]
        )
        self._tokens = self._counter("tokens", "Tokens.", ["provider", "direction"])
        self._unused = self._counter(
            "connections_without_request", "Connections closed: no request came in time."
        )
        self._first_content = self._histogram(
            "first_content_seconds", "From arrival to the first content.", _SECONDS
        )
        self._duration = self._histogram("duration_seconds", "From arrival to the end.", _SECONDS)
        self._added = self._histogram(
            "added_seconds", "What the gateway added to an exchange.", _ADDED_SECONDS
        )
        self._bytes_out = self._histogram("response_bytes", "Bytes of answers.", _BYTES)
        self._children: dict[Key, Counter] = {}
        self._by_provider: dict[str, _ProviderMetrics] = {}
        gauge = Gauge("gateway_exchanges_in_flight", "Not settled yet.", registry=self.registry)
        gauge.set_function(in_flight)
        version = Gauge("gateway_version", "1.", ["version"], registry=self.registry)
        version.labels(__version__).set(1)

    def observe(self, exchange: Exchange) -> None:
        """Count one settled exchange; an observer."""
        provider = self._label(exchange.provider)
        outcome = "" if exchange.outcome is None else exchange.outcome.value
        key = (provider, exchange.dialect.value, outcome, exchange.status)
        child = self._children.get(key)
        if child is None:
            # `labels` takes ten times as long as `inc`.
            child = self._exchanges.labels(*map(str, key))
            self._children[key] = child
        child.inc()
        found = self._by_provider.get(provider)
        if found is None:
            found = self._by_provider[provider] = _ProviderMetrics(self, provider)
        found.observe(exchange)

    def count_unused_connection(self) -> None:
        """A connection was closed because no request came."""
        self._unused.inc()

    def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

    def _label(self, provider: str) -> str:
        if not provider:
            return NONE
        return provider if provider in self._providers else OTHER

    def _counter(self, name: str, text: str, labels: Collection[str] = ()) -> Counter:
        return Counter(f"gateway_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            f"gateway_{name}", text, ["provider"], registry=self.registry, buckets=buckets
        )


class _ProviderMetrics:
    """The series of one provider, looked up once."""

    def __init__(self, metrics: Metrics, provider: str) -> None:
        self._tokens_in = metrics._tokens.labels(provider, "in")  # noqa: SLF001 - two halves of one concept
        self._tokens_out = metrics._tokens.labels(provider, "out")  # noqa: SLF001
        self._first_content = metrics._first_content.labels(provider)  # noqa: SLF001
        self._duration = metrics._duration.labels(provider)  # noqa: SLF001
        self._added = metrics._added.labels(provider)  # noqa: SLF001
        self._bytes_out = metrics._bytes_out.labels(provider)  # noqa: SLF001

    def observe(self, exchange: Exchange) -> None:
        self._duration.observe(exchange.ended_at - exchange.started_at)
        self._bytes_out.observe(exchange.bytes_out)
        if exchange.first_content_at:
            self._first_content.observe(exchange.first_content_at - exchange.started_at)
        added = added_s(exchange)
        if added is not None:
            self._added.observe(added)
        if exchange.usage is not None:
            self._tokens_in.inc(exchange.usage.tokens_in or 0)
            self._tokens_out.inc(exchange.usage.tokens_out or 0)
