"""What is counted of each settled exchange.

The rule here: it runs once for every request, so it looks up what it needs once and adds.
"""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus

from gateway.config.registry import Provider
from gateway.core.errors import InternalError, PluginFailedError
from gateway.core.exchange import Exchange
from gateway.core.upstream_errors import (
    UpstreamFirstContentTimeoutError,
    UpstreamIdleTimeoutError,
    UpstreamRequestTimeoutError,
)
from gateway.core.usage import Usage
from gateway.telemetry import definitions as defined
from gateway.telemetry.definitions import Definition
from gateway.telemetry.exchange_fields import measure_added_s
from gateway.telemetry.model_names import NONE, ModelNames
from gateway.telemetry.numbers import Numbers, numbers_of
from gateway.telemetry.series import OTHER, Counts, Distribution

CLIENT_STALLED = "client_stalled"
MISTAKES = (InternalError.code, PluginFailedError.code)  # ours, and those of a middleware
MAX_CODES = 300  # of failures, with their providers; there are about 60 codes

_SIDES = {
    CLIENT_STALLED: "caller",
    UpstreamFirstContentTimeoutError.code: "provider",
    UpstreamIdleTimeoutError.code: "provider",
    UpstreamRequestTimeoutError.code: "provider",
}
# A provider may send any number; what nobody has heard of is counted by its hundred.
_plain = str.__str__
_STATUSES = {status: str(status) for status in (0, *map(int, HTTPStatus), 499, 529)}


class ProviderSeries:
    """The histograms of one provider."""

    __slots__ = (
        "added",
        "attempts",
        "bytes_out",
        "duration",
        "first_content",
        "gap",
        "longest_gap",
        "upstream_duration",
        "upstream_first_content",
    )

    def __init__(self) -> None:
        self.attempts = 0
        self.duration = Distribution(defined.DURATION.bounds)
        self.upstream_duration = Distribution(defined.UPSTREAM_DURATION.bounds)
        self.first_content = Distribution(defined.FIRST_CONTENT.bounds)
        self.upstream_first_content = Distribution(defined.UPSTREAM_FIRST_CONTENT.bounds)
        self.added = Distribution(defined.ADDED.bounds)
        self.gap = Distribution(defined.GAP.bounds)
        self.longest_gap = Distribution(defined.LONGEST_GAP.bounds)
        self.bytes_out = Distribution(defined.BYTES_OUT.bounds)

    def count(self, exchange: Exchange) -> None:
        """Count one exchange."""
        started_at, content_at = exchange.started_at, exchange.first_content_at
        self.duration.add(exchange.ended_at - started_at)
        self.bytes_out.add(exchange.bytes_out)
        sent_at = exchange.upstream_started_at
        self.attempts += exchange.attempts
        if not sent_at:
            return
        if exchange.upstream_ended_at:
            asked_s = exchange.upstream_ended_at - sent_at
            self.upstream_duration.add(max(0.0, asked_s - exchange.held_back_s))
        added_s = measure_added_s(exchange)
        if added_s is not None:
            self.added.add(added_s)
        if content_at and exchange.stream:  # of a whole reply the first content is the last
            self.first_content.add(content_at - started_at)
            self.upstream_first_content.add(content_at - sent_at)
            span_s = exchange.last_content_at - content_at - exchange.held_back_s
            if exchange.chunks > 1 and span_s > 0:
                self.gap.add(span_s / (exchange.chunks - 1))
            if exchange.longest_gap_s:
                self.longest_gap.add(exchange.longest_gap_s)


class ModelSeries:
    """What the answers of one model took."""

    __slots__ = ("cached", "cost_micros", "reasoning", "tokens_in", "tokens_out", "unpriced")

    def __init__(self) -> None:
        self.tokens_in = self.tokens_out = self.cached = self.reasoning = 0
        self.cost_micros = self.unpriced = 0

    def count(self, usage: Usage, spent_micros: int | None) -> None:
        """Count one answer."""
        self.tokens_in += usage.tokens_in or 0
        self.tokens_out += usage.tokens_out or 0
        self.cached += usage.tokens_cached or 0
        self.reasoning += usage.tokens_reasoning or 0
        if spent_micros is None:
            self.unpriced += 1
        else:
            self.cost_micros += spent_micros


_HISTOGRAMS: tuple[tuple[Definition, str], ...] = (
    (defined.FIRST_CONTENT, "first_content"),
    (defined.UPSTREAM_FIRST_CONTENT, "upstream_first_content"),
    (defined.ADDED, "added"),
    (defined.DURATION, "duration"),
    (defined.UPSTREAM_DURATION, "upstream_duration"),
    (defined.GAP, "gap"),
    (defined.LONGEST_GAP, "longest_gap"),
    (defined.BYTES_OUT, "bytes_out"),
)
_SUMS: tuple[tuple[Definition, str], ...] = (
    (defined.CACHED_TOKENS, "cached"),
    (defined.REASONING_TOKENS, "reasoning"),
    (defined.COST, "cost_micros"),
    (defined.UNPRICED, "unpriced"),
)


class ExchangeSeries:
    """All of them, for the providers of one registry."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._names = ModelNames(providers)
        self._exchanges = Counts(defined.EXCHANGES)
        names = (*providers, NONE, OTHER)
        self._failures = Counts(defined.FAILURES, MAX_CODES * len(names))
        # From 0 on: of a counter that begins at 1 Prometheus sees no increase, and of these the
        # first has to be seen.
        self._failures.values.update({(name, code): 0 for name in names for code in MISTAKES})
        self._stalls = Counts(defined.STALLS)
        self._refusals = Counts(defined.REFUSALS)
        self._providers: dict[str, ProviderSeries] = {}
        self._models: dict[tuple[str, str], ModelSeries] = {}

    def observe(self, exchange: Exchange) -> None:
        """Count one settled exchange; an observer."""
        pair = self._names.find(exchange)
        provider, model = pair
        status = _STATUSES.get(exchange.status) or f"{exchange.status // 100}xx"
        outcome = exchange.outcome or ""
        # As plain text: an enum's own hash is a function in Python, 0.3 µs each.
        self._exchanges.add((provider, model, _plain(exchange.dialect), _plain(outcome), status))
        series = self._providers.get(provider)
        if series is None:
            series = self._providers[provider] = ProviderSeries()
        series.count(exchange)
        if exchange.usage is not None:
            tokens = self._models.get(pair)
            if tokens is None:
                tokens = self._models[pair] = ModelSeries()
            tokens.count(exchange.usage, exchange.spent_micros)
        if exchange.error_code:
            self._count_failure(provider, exchange.error_code)
        if exchange.refused_by:
            self._refusals.add((exchange.refused_by, "false"))
        for rule in exchange.would_refuse:
            self._refusals.add((rule, "true"))

    def remember(self, before: Iterable[Numbers]) -> None:
        """Give the names that are in these numbers again, before any other."""
        for one in before:
            if one.name == defined.EXCHANGES.name:
                self._names.remember((labels[0], labels[1]) for labels, _ in one.values)

    def _count_failure(self, provider: str, code: str) -> None:
        self._failures.add((provider, code))
        side = _SIDES.get(code)
        if side is not None:
            self._stalls.add((provider, side))

    def read(self) -> Iterator[Numbers]:
        """The present numbers."""
        for counts in (self._exchanges, self._failures, self._stalls, self._refusals):
            yield counts.read()
        providers = list(self._providers.items())
        sent = [((name,), float(one.attempts)) for name, one in providers if one.attempts]
        yield numbers_of(defined.ATTEMPTS, sent)
        for definition, attribute in _HISTOGRAMS:
            spreads = [((name,), getattr(one, attribute).read()) for name, one in providers]
            yield numbers_of(definition, [pair for pair in spreads if any(pair[1].counts)])
        models = list(self._models.items())
        tokens = [
            ((*pair, direction), float(count))
            for pair, one in models
            for direction, count in (("in", one.tokens_in), ("out", one.tokens_out))
        ]
        yield numbers_of(defined.TOKENS, tokens)
        for definition, attribute in _SUMS:
            sums = [(pair, float(getattr(one, attribute))) for pair, one in models]
            yield numbers_of(definition, [pair for pair in sums if pair[1]])
