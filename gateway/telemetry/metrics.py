"""Numbers for Prometheus.

The rule here: the number of series is bounded. A label is a word of ours or a name out of the
registry; what a caller writes is never a label.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from gateway import __version__
from gateway.core.credential import CredentialStanding, CredentialState
from gateway.core.errors import ProviderNotFoundError
from gateway.core.exchange import Exchange
from gateway.core.ledger_numbers import LedgerNumbers
from gateway.telemetry.exchange_fields import added_s
from gateway.telemetry.series import Counts, Distributions

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_LEDGER = LedgerNumbers(0, 0, 0, is_store_down=False)
OTHER = "other"  # a provider that is not in the registry
NONE = "none"  # a request that names no provider

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560)
_ADDED_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_BYTES = tuple(4**power for power in range(4, 16))  # 256 B to 1 GiB


@runtime_checkable
class Watched(Protocol):
    """A part that can do without another one for a while."""

    @property
    def is_degraded(self) -> bool:
        """Whether it does so now."""

    @property
    def lost(self) -> int:
        """What it could not make up for."""


class SendsSpans(Protocol):
    """What tells a collector of exchanges."""

    @property
    def sent(self) -> int:
        """Spans that the collector has taken."""

    @property
    def dropped(self) -> int:
        """Spans that it will never get."""


class Metrics(Collector):
    """What is counted, in a registry of its own."""

    def __init__(self, providers: Collection[str], in_flight: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._providers = frozenset(providers)
        self._in_flight = in_flight
        self._exchanges = Counts(
            "gateway_exchanges",
            "Settled exchanges.",
            ["provider", "dialect", "outcome", "status"],
        )
        self._tokens = Counts("gateway_tokens", "Tokens.", ["provider", "direction"])
        self._cost = Counts("gateway_cost_micros", "Millionths of a US dollar.", ["provider"])
        self._unpriced = Counts(
            "gateway_unpriced_exchanges",
            "With tokens, and nobody knows what they cost.",
            ["provider"],
        )
        self._refusals = Counts(
            "gateway_limit_refusals", "Requests that a rule refused.", ["rule", "dry_run"]
        )
        # For rules with places: how many are taken. Set where there are rules.
        self.count_places: Callable[[], Mapping[str, int]] = dict
        self._watched: dict[str, Watched] = {}
        # Set where a ledger is kept.
        self.count_ledger: Callable[[], LedgerNumbers] = lambda: NO_LEDGER
        # How the credentials stand. Set by `app`.
        self.list_credentials: Callable[[], Iterable[CredentialStanding]] = tuple
        self._exporter: SendsSpans | None = None  # set where there is tracing
        self._unused = Counts(
            "gateway_connections_without_request",
            "Connections closed: no request came in time.",
            [],
        )
        self._unused.add((), 0)
        self._first_content = Distributions(
            "gateway_first_content_seconds", "From arrival to the first content.", _SECONDS
        )
        self._duration = Distributions(
            "gateway_duration_seconds", "From arrival to the end.", _SECONDS
        )
        self._added = Distributions(
            "gateway_added_seconds", "What the gateway added to an exchange.", _ADDED_SECONDS
        )
        self._bytes_out = Distributions("gateway_response_bytes", "Bytes of answers.", _BYTES)
        self.registry.register(self)

    def observe(self, exchange: Exchange) -> None:
        """Count one settled exchange; an observer."""
        provider = self._label(exchange)
        outcome = exchange.outcome or ""
        self._exchanges.add((provider, exchange.dialect, outcome, exchange.status))
        started_at = exchange.started_at
        self._duration.of(provider).add(exchange.ended_at - started_at)
        self._bytes_out.of(provider).add(exchange.bytes_out)
        if exchange.first_content_at:
            self._first_content.of(provider).add(exchange.first_content_at - started_at)
        added = added_s(exchange)
        if added is not None:
            self._added.of(provider).add(added)
        if exchange.usage is not None:
            self._tokens.add((provider, "in"), exchange.usage.tokens_in or 0)
            self._tokens.add((provider, "out"), exchange.usage.tokens_out or 0)
            if exchange.spent_micros is None:
                self._unpriced.add((provider,))
        if exchange.spent_micros is not None:
            self._cost.add((provider,), exchange.spent_micros)
        if exchange.refused_by:
            self._refusals.add((exchange.refused_by, "false"))
        for rule in exchange.would_refuse:
            self._refusals.add((rule, "true"))

    def count_unused_connection(self) -> None:
        """A connection was closed because no request came."""
        self._unused.add(())

    def watch_tracing(self, exporter: SendsSpans) -> None:
        """Show what becomes of spans."""
        self._exporter = exporter

    def watch(self, component: str, part: Watched) -> None:
        """Show whether a part does without another one."""
        self._watched[component] = part

    def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

    @override
    def collect(self) -> Iterator[Metric]:
        """The present numbers, for prometheus-client."""
        for series in (
            self._exchanges,
            self._tokens,
            self._cost,
            self._unpriced,
            self._refusals,
            self._unused,
        ):
            yield series.collect()
        for histogram in (self._first_content, self._duration, self._added, self._bytes_out):
            yield histogram.collect()
        yield GaugeMetricFamily(
            "gateway_exchanges_in_flight", "Not settled yet.", value=self._in_flight()
        )
        places = GaugeMetricFamily(
            "gateway_limit_places_taken", "Of rules with `concurrent`.", labels=["rule"]
        )
        for rule, taken in self.count_places().items():
            places.add_metric([rule], taken)
        yield places
        yield from self._collect_watched()
        yield from self._collect_ledger()
        yield from self._collect_credentials()
        yield from self._collect_tracing()
        version = GaugeMetricFamily("gateway_version", "1.", labels=["version"])
        version.add_metric([__version__], 1)
        yield version

    def _collect_watched(self) -> Iterator[Metric]:
        degraded = GaugeMetricFamily(
            "gateway_degraded", "1 while a part does without another.", labels=["component"]
        )
        lost = CounterMetricFamily(
            "gateway_settlements_lost", "What no store was told of.", labels=["component"]
        )
        for component, part in self._watched.items():
            degraded.add_metric([component], part.is_degraded)
            lost.add_metric([component], part.lost)
        yield degraded
        yield lost

    def _collect_tracing(self) -> Iterator[Metric]:
        spans = CounterMetricFamily(
            "gateway_trace_spans", "Spans, by what became of them.", labels=["outcome"]
        )
        if self._exporter is not None:
            spans.add_metric(["sent"], self._exporter.sent)
            spans.add_metric(["dropped"], self._exporter.dropped)
        yield spans

    def _collect_ledger(self) -> Iterator[Metric]:
        numbers = self.count_ledger()
        yield GaugeMetricFamily(
            "gateway_ledger_backlog_bytes",
            "In the journal and not in the database.",
            value=numbers.backlog_bytes,
        )
        yield GaugeMetricFamily(
            "gateway_ledger_held", "Exchanges in memory that no file takes.", value=numbers.held
        )
        yield CounterMetricFamily(
            "gateway_ledger_unwritten", "Exchanges that were not booked.", value=numbers.unwritten
        )
        yield GaugeMetricFamily(
            "gateway_ledger_store_down",
            "1 while the database takes nothing.",
            value=numbers.is_store_down,
        )

    def _collect_credentials(self) -> Iterator[Metric]:
        labels = ["provider", "credential_id"]
        in_flight = GaugeMetricFamily(
            "gateway_credential_in_flight", "Requests that hold a credential.", labels=labels
        )
        states = GaugeMetricFamily(
            "gateway_credential_state", "1 for the state it is in.", labels=[*labels, "state"]
        )
        for standing in self.list_credentials():
            names = [standing.provider, standing.id]
            in_flight.add_metric(names, standing.in_flight)
            for state in CredentialState:
                states.add_metric([*names, state], standing.state is state)
        yield in_flight
        yield states

    def _label(self, exchange: Exchange) -> str:
        if exchange.provider:
            return exchange.provider if exchange.provider in self._providers else OTHER
        # A name that is in no registry stands in no exchange either: it is anybody's text.
        return OTHER if exchange.error_code == ProviderNotFoundError.code else NONE
