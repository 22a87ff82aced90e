"""A scrape in which every metric has a series.

The rule here: it is rendered by the real application; what would take an outage to be seen is told
to it.
"""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.app import METRICS, build_app
from gateway.config.limit_rules import LimitSpec
from gateway.config.load import load_registry
from gateway.config.settings import Settings
from gateway.config.stores import StoresSpec
from gateway.config.tracing import TracingSpec
from gateway.core.breaker import BreakerStanding, BreakerState
from gateway.core.exchange import Exchange, Outcome
from gateway.core.pool_standing import PoolStanding
from gateway.core.usage import Usage
from gateway.telemetry.reporter import Reporter
from tests.docs.pages import ROOT

TIMES = {
    "upstream_started_at": 1.5,
    "first_content_at": 2.0,
    "first_relayed_at": 3.0,
    "last_content_at": 3.5,
    "upstream_ended_at": 3.5,
}


def render_full_scrape() -> str:
    """Render the text that Prometheus would read."""
    limit = LimitSpec(name="few", on="everything", concurrent=1)
    stores = StoresSpec(counters="redis://localhost")  # nobody connects before the start
    settings = Settings(limits=(limit,), stores=stores, tracing=TracingSpec())
    registry = load_registry(ROOT / "providers.yaml", {"GROQ_API_KEY": "gsk-1"})
    metrics = build_app(settings, registry)[METRICS]
    metrics.list_pools = lambda: [PoolStanding("groq", 1, 2, 3, 10)]
    if not list(metrics.list_breakers()):
        metrics.list_breakers = lambda: [BreakerStanding("groq", BreakerState.OPEN)]
    metrics.read_limit = lambda: 100
    metrics.count_places = lambda: {"few": 1}
    for spent_micros in (None, 5):
        metrics.observe(_settled(spent_micros))
    return Reporter(metrics, lambda: "ready").render().decode()


def samples_of(text: str) -> dict[str, set[str]]:
    """Give the labels of every series of a scrape, by the name that a query has."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def _settled(spent_micros: int | None) -> Exchange:
    """One exchange that counts in everything."""
    usage = Usage(10, 20, "provider", 4, 5)
    fields: dict[str, Any] = {"usage": usage, "attempts": 1, "chunks": 9, **TIMES, "stream": True}
    exchange = Exchange("id", 1.0, "POST", "/", "127.0.0.1", (), provider="groq", **fields)
    exchange.model, exchange.status = "llama-3.3-70b-versatile", 200
    exchange.longest_gap_s, exchange.spent_micros = 0.3, spent_micros
    exchange.refused_by, exchange.error_code = "few", "client_stalled"
    exchange.settle(Outcome.FINISHED, at=4.0)
    return exchange
