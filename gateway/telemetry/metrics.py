"""The numbers of this process, for Prometheus.

The rule here: the number of series is bounded. A label is a word of ours or a name out of the
registry; what a caller writes is never a label, but for models that a provider has answered for.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from gateway import __version__
from gateway.config.registry import Provider
from gateway.core.breaker import BreakerStanding, BreakerState
from gateway.core.config_numbers import ConfigNumbers
from gateway.core.credential import CredentialStanding, CredentialState
from gateway.core.exchange import Exchange
from gateway.core.ledger_numbers import LedgerNumbers
from gateway.core.log_numbers import LogNumbers
from gateway.core.pool_standing import PoolStanding
from gateway.telemetry import definitions as defined
from gateway.telemetry.exchange_series import ExchangeSeries
from gateway.telemetry.loop_watch import LoopWatch
from gateway.telemetry.numbers import Numbers, is_known, lone, numbers_of
from gateway.telemetry.series import Distribution

NO_LEDGER = LedgerNumbers(0, 0, 0, is_store_down=False)
AS_STARTED = ConfigNumbers(generation=1, failures=0, has_failed=False)
WHOLE_LOG = LogNumbers(dropped=0, sampled=0, withheld=0)


@runtime_checkable
class Watched(Protocol):
    """A part that can do without another one for a while."""

    @property
    def is_degraded(self) -> bool:
        """Whether it does so now."""

    @property
    def lost(self) -> int:
        """What it could not make up for."""


class Metrics:
    """What is counted here, and what is asked when somebody looks.

    The callables are set by `app`, where the part that they ask is there.
    """

    def __init__(
        self, providers: Mapping[str, Provider], in_flight: Callable[[], float] = lambda: 0
    ) -> None:
        self._exchanges = ExchangeSeries(providers)
        self._in_flight = in_flight
        self._unused = 0
        self._turned_away = 0
        self._added_gap = Distribution(defined.ADDED_GAP.bounds)
        self._watched: dict[str, Watched] = {}
        self._process = ProcessCollector(registry=None)
        self.loop = LoopWatch()
        # For rules with places: how many are taken.
        self.count_places: Callable[[], Mapping[str, int]] = dict
        self.count_ledger: Callable[[], LedgerNumbers] = lambda: NO_LEDGER
        self.count_config: Callable[[], ConfigNumbers] = lambda: AS_STARTED
        self.count_log: Callable[[], LogNumbers] = lambda: WHOLE_LOG
        self.read_limit: Callable[[], float | None] = lambda: None
        self.count_shed: Callable[[], int] = lambda: 0
        self.list_credentials: Callable[[], Iterable[CredentialStanding]] = tuple
        self.count_spans: Callable[[], Mapping[str, int]] = dict
        self.list_breakers: Callable[[], Iterable[BreakerStanding]] = tuple
        self.list_pools: Callable[[], Iterable[PoolStanding]] = tuple

    def observe(self, exchange: Exchange) -> None:
        """Count one settled exchange; an observer."""
        self._exchanges.observe(exchange)

    def remember(self, before: Iterable[Numbers]) -> None:
        """Call what is counted as those did who counted this before."""
        self._exchanges.remember(before)

    def note_added_gap(self, seconds: float) -> None:
        """Count how long one piece of content was here."""
        self._added_gap.add(seconds)

    def count_unused_connection(self) -> None:
        """A connection was closed because no request came."""
        self._unused += 1

    def count_turned_away(self) -> None:
        """A connection was closed unheard because there was no place for it."""
        self._turned_away += 1

    def watch(self, component: str, part: Watched) -> None:
        """Show whether a part does without another one."""
        self._watched[component] = part

    def read(self) -> list[Numbers]:
        """All present numbers of this process."""
        return [
            *self._exchanges.read(),
            *self._read_flow(),
            *self._read_parts(),
            *self._read_ledger(),
            *self._read_credentials(),
            *self._read_self(),
        ]

    def _read_flow(self) -> Iterator[Numbers]:
        yield lone(defined.SHED, self.count_shed())
        yield lone(defined.UNUSED_CONNECTIONS, self._unused)
        yield lone(defined.TURNED_AWAY, self._turned_away)
        yield lone(defined.ADDED_GAP, self._added_gap.read())
        yield lone(defined.IN_FLIGHT, self._in_flight())
        limit = self.read_limit()
        if limit is not None:
            yield lone(defined.IN_FLIGHT_LIMIT, limit)
        pools = [((pool.provider,), pool) for pool in self.list_pools()]
        yield numbers_of(defined.UPSTREAM_IN_FLIGHT, ((key, one.in_flight) for key, one in pools))
        connections = (
            ((*key, state), getattr(pool, state))
            for key, pool in pools
            for state in ("busy", "idle", "dialing")
        )
        yield numbers_of(defined.CONNECTIONS, connections)
        yield numbers_of(defined.CONNECTIONS_LIMIT, ((key, one.limit) for key, one in pools))
        places = self.count_places().items()
        yield numbers_of(defined.PLACES, (((rule,), taken) for rule, taken in places))

    def _read_parts(self) -> Iterator[Numbers]:
        parts = [((component,), part) for component, part in self._watched.items()]
        yield numbers_of(defined.DEGRADED, ((key, int(part.is_degraded)) for key, part in parts))
        yield numbers_of(defined.LOST, ((key, part.lost) for key, part in parts))
        spans = self.count_spans().items()
        yield numbers_of(defined.TRACE_SPANS, (((outcome,), count) for outcome, count in spans))
        states = (
            ((one.provider, state), int(one.state is state))
            for one in self.list_breakers()
            for state in BreakerState
        )
        yield numbers_of(defined.BREAKER_STATE, states)
        config = self.count_config()
        yield lone(defined.CONFIG_GENERATION, config.generation)
        yield lone(defined.CONFIG_RELOAD_FAILED, int(config.has_failed))
        yield from count_lines(self.count_log())

    def _read_ledger(self) -> Iterator[Numbers]:
        ledger = self.count_ledger()
        yield lone(defined.LEDGER_BACKLOG, ledger.backlog_bytes)
        yield lone(defined.LEDGER_HELD, ledger.held)
        yield lone(defined.LEDGER_UNWRITTEN, ledger.unwritten)
        yield lone(defined.LEDGER_STORE_DOWN, int(ledger.is_store_down))

    def _read_credentials(self) -> Iterator[Numbers]:
        standings = list(self.list_credentials())
        in_flight = (((one.provider, one.id), one.in_flight) for one in standings)
        yield numbers_of(defined.CREDENTIAL_IN_FLIGHT, in_flight)
        states = (
            ((one.provider, one.id, state), int(one.state is state))
            for one in standings
            for state in CredentialState
        )
        yield numbers_of(defined.CREDENTIAL_STATE, states)

    def _read_self(self) -> Iterator[Numbers]:
        yield lone(defined.LOOP_LAG, self.loop.lag.read())
        yield lone(defined.LOOP_LAG_MAX, self.loop.max_lag_s)
        build = (__version__, platform.python_version())
        yield numbers_of(defined.BUILD, [(build, 1)])
        yield from pick_known(self._process.collect())  # nothing, where there is no /proc


def count_lines(log: LogNumbers) -> Iterator[Numbers]:
    """What the log of one process has not written."""
    yield lone(defined.LINES_DROPPED, log.dropped)
    yield lone(defined.LINES_SAMPLED, log.sampled)
    yield lone(defined.LINES_WITHHELD, log.withheld)
    yield lone(defined.CONTENT_DROPPED, log.content_dropped)


def pick_known(families: Iterable[Metric]) -> Iterator[Numbers]:
    """What the library shows of a process, as far as it is defined here; a later one has more."""
    for family in families:
        for sample in family.samples:
            numbers = Numbers(sample.name, [((), sample.value)])
            if is_known(numbers):
                yield numbers
