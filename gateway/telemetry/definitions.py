"""Every metric: its name, its labels and what it says. The page is made from this list.

The rule here: nothing is counted that is not defined here, and a definition says how the numbers of
several workers become one.
"""

import re
from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
# How the numbers of several workers become one: added up, the largest, the smallest, or one series
# for each. Counters and histograms are always added up, or there for each.
Across = Literal["sum", "max", "min", "each"]

WORKER = "worker"

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560)
SHORT_SECONDS = (
    *(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
GAP_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
BYTES = tuple(4**power for power in range(4, 16))  # 256 B to 1 GiB


class Definition(msgspec.Struct, frozen=True):
    """One metric."""

    name: str  # as Prometheus shows it
    kind: Kind
    labels: tuple[str, ...]
    text: str  # what stands on the page and in `# HELP`
    across: Across = "sum"
    bounds: tuple[float, ...] = ()  # of a histogram
    genai: str = ""  # its name in OpenTelemetry's conventions for generative AI

    @property
    def help(self) -> str:
        """The text without what only a page can show."""
        return _LINK.sub(r"\1", self.text).replace("`", "")


def _counter(name: str, text: str, *labels: str, genai: str = "") -> Definition:
    return Definition(name, "counter", labels, text, genai=genai)


def _gauge(name: str, text: str, *labels: str, across: Across = "sum") -> Definition:
    return Definition(name, "gauge", labels, text, across)


def _histogram(
    name: str, text: str, *labels: str, bounds: tuple[float, ...], genai: str = ""
) -> Definition:
    bounds = tuple(float(bound) for bound in bounds)
    return Definition(name, "histogram", labels, text, bounds=bounds, genai=genai)


EXCHANGES = _counter(
    "gateway_exchanges_total",
    "settled requests",
    *("provider", "model", "dialect", "outcome", "status"),
)
FAILURES = _counter(
    "gateway_failures_total",
    "settled requests with an error, by its [code](errors.md)",
    *("provider", "code"),
)
ATTEMPTS = _counter(
    "gateway_attempts_total", ("attempts at providers; all beyond one per request are retries"),
    "provider",
)  # fmt: skip
STALLS = _counter(
    "gateway_stalls_total",
    (
        "answers that were ended because one `side`, `provider` or `caller`, made no "
        "progress for too long"
    ),
    *("provider", "side"),
)
TOKENS = _counter(
    "gateway_tokens_total",
    "tokens, `in` and `out`; the provider's count or the gateway's estimate",
    *("provider", "model", "direction"),
    genai="`gen_ai.client.token.usage`; `direction` is `gen_ai.token.type`",
)
CACHED_TOKENS = _counter(
    "gateway_tokens_cached_total",
    "how many of the input tokens came from the provider's cache",
    *("provider", "model"),
    genai="sum of `gen_ai.usage.cache_read.input_tokens`",
)
REASONING_TOKENS = _counter(
    "gateway_tokens_reasoning_total",
    "how many of the output tokens were spent on reasoning",
    *("provider", "model"),
    genai="sum of `gen_ai.usage.reasoning.output_tokens`",
)
COST = _counter(
    "gateway_cost_micros_total",
    "what answers cost, in millionths of a US dollar",
    *("provider", "model"),
)
UNPRICED = _counter(
    "gateway_unpriced_exchanges_total",
    (
        "requests that used tokens of a model without a price, at a provider that "
        "does not say what it charges"
    ),
    *("provider", "model"),
)
REFUSALS = _counter(
    "gateway_limit_refusals_total",
    "requests that a rule of [limits](limits.md) refused, or would have refused",
    *("rule", "dry_run"),
)
SHED = _counter(
    "gateway_overload_refusals_total",
    ("requests that were refused because the gateway is overloaded, see [overload](overload.md)"),
)
UNUSED_CONNECTIONS = _counter(
    "gateway_connections_without_request_total",
    "connections closed because no request came in time",
)
TURNED_AWAY = _counter(
    "gateway_connections_turned_away_total",
    "connections closed unheard because callers had all their "
    "[places](limits-of-a-stream.md#files)",
)
FIRST_CONTENT = _histogram(
    "gateway_first_content_seconds",
    "from arrival to the first content of a stream",
    "provider",
    bounds=SECONDS,
    genai="`gen_ai.server.time_to_first_token`",
)
UPSTREAM_FIRST_CONTENT = _histogram(
    "gateway_upstream_first_content_seconds",
    ("the provider's share of that: from sending the request to the first content of its answer"),
    "provider",
    bounds=SECONDS,
    genai="`gen_ai.client.operation.time_to_first_chunk`",
)
ADDED = _histogram(
    "gateway_added_seconds",
    (
        "the gateway's share of that, also for replies that are not streamed: what it "
        "added before the request was sent and after the content arrived, not "
        "counting waits for the caller's body or for a new connection; only requests "
        "with one attempt"
    ),
    "provider",
    bounds=SHORT_SECONDS,
)
DURATION = _histogram(
    "gateway_duration_seconds",
    "from arrival to the end",
    "provider",
    bounds=SECONDS,
    genai="`gen_ai.server.request.duration`",
)
UPSTREAM_DURATION = _histogram(
    "gateway_upstream_duration_seconds",
    ("the provider's share of that, in the last attempt, without waits for a slow caller"),
    "provider",
    bounds=SECONDS,
    genai="`gen_ai.client.operation.duration`",
)
GAP = _histogram(
    "gateway_chunk_gap_seconds",
    (
        "mean time between pieces of content as sent by the provider, once for each "
        "stream; also without these waits"
    ),
    "provider",
    bounds=GAP_SECONDS,
    genai="`gen_ai.client.operation.time_per_output_chunk`, which is there for each piece",
)
LONGEST_GAP = _histogram(
    "gateway_chunk_gap_longest_seconds",
    (
        "longest of these times in a stream, once for each stream; if it was cut or "
        "the caller left, including the time from the last piece to the end"
    ),
    "provider",
    bounds=GAP_SECONDS,
)
ADDED_GAP = _histogram(
    "gateway_chunk_added_seconds",
    (
        "time that the gateway added to a piece of content, from reading it to "
        "writing it; two a second are measured. How late it was read is the lag of "
        "the event loop"
    ),
    bounds=(0.00005, 0.0001, *SHORT_SECONDS),
)
BYTES_OUT = _histogram("gateway_response_bytes", "bytes of answers", "provider", bounds=BYTES)
IN_FLIGHT = _gauge("gateway_exchanges_in_flight", "requests that are not settled")
IN_FLIGHT_LIMIT = _gauge(
    "gateway_exchanges_limit", ("how many requests may be in flight at a time; fewer under load")
)
UPSTREAM_IN_FLIGHT = _gauge(
    "gateway_upstream_in_flight", "requests that a provider has not finished answering", "provider"
)
CONNECTIONS = _gauge(
    "gateway_upstream_connections",
    ("connections to a provider: `busy`, `idle` or `dialing`; requests never queue for one"),
    *("provider", "state"),
)
CONNECTIONS_LIMIT = _gauge(
    "gateway_upstream_connections_limit",
    ("`max_connections` of a provider, in all workers; calls beyond that are refused"),
    "provider",
)
PLACES = _gauge(
    "gateway_limit_places_taken",
    "requests in flight that a rule with `concurrent` counts",
    "rule",
)
DEGRADED = _gauge(
    "gateway_degraded",
    (
        "1 while a component works without another one: `counters` without "
        "[Redis](limits.md#when-redis-is-gone)"
    ),
    "component",
    across="max",
)
TRACE_SPANS = _counter(
    "gateway_trace_spans_total",
    (
        "spans that the collector of [traces](tracing.md) has accepted (`sent`), and "
        "those that it will never get (`dropped`)"
    ),
    "outcome",
)
LOST = _counter(
    "gateway_settlements_lost_total",
    ("settlements that were never counted in a store, because it was gone for too long"),
    "component",
)
LEDGER_BACKLOG = _gauge(
    "gateway_ledger_backlog_bytes",
    ("bytes in the [ledger](ledger.md)'s journal that are not in the database yet"),
)
LEDGER_HELD = _gauge(
    "gateway_ledger_held",
    ("exchanges that are only in memory, because they cannot be written to a file"),
)
LEDGER_UNWRITTEN = _counter(
    "gateway_ledger_unwritten_total", "exchanges that were not booked, since the start"
)
LEDGER_STORE_DOWN = _gauge(
    "gateway_ledger_store_down", "1 while the database cannot be written", across="max"
)
CREDENTIAL_IN_FLIGHT = _gauge(
    "gateway_credential_in_flight",
    "requests that hold a credential",
    *("provider", "credential_id"),
)
CREDENTIAL_STATE = _gauge(
    "gateway_credential_state",
    ("number of workers in which a [credential](../configure/credential-pool.md) is in that state"),
    *("provider", "credential_id", "state"),
)
BREAKER_STATE = _gauge(
    "gateway_breaker_state",
    (
        "number of workers in which the breaker of a provider is in that state: "
        "`closed`, `open` or `half_open`"
    ),
    *("provider", "state"),
)
CONFIG_GENERATION = _gauge(
    "gateway_config_generation",
    (
        "how many times `gateway.yaml` was loaded successfully, including at startup; "
        "the smallest number of all workers"
    ),
    across="min",
)
CONFIG_RELOAD_FAILED = _gauge(
    "gateway_config_reload_failed",
    ("1 if the last [reload](logs.md#reading-the-settings-anew) failed"),
    across="max",
)
LINES_DROPPED = _counter(
    "gateway_log_lines_dropped_total",
    ("lines of the [log](logs.md#when-nobody-takes-them) that could not be written"),
)
LINES_SAMPLED = _counter(
    "gateway_log_lines_sampled_total", "lines that were left out by sampling in `logging.events`"
)
LINES_WITHHELD = _counter(
    "gateway_log_lines_withheld_total", "lines that were suppressed because they repeated too often"
)
CONTENT_DROPPED = _counter(
    "gateway_log_content_dropped_total", "lines of `logging.content` that could not be written"
)
LOOP_LAG = _histogram(
    "gateway_event_loop_lag_seconds",
    "lag of the event loop, measured twice a second",
    bounds=SHORT_SECONDS,
)
LOOP_LAG_MAX = _gauge(
    "gateway_event_loop_lag_max_seconds", "the largest of those in the last minute", across="max"
)
WORKERS = _gauge(
    "gateway_workers",
    "processes that answer requests, by `state`: `starting`, `ready`, `draining`, `stopping`, or "
    "`down` for one of several that has died and is not started again yet",
    "state",
)
WORKER_STARTS = _counter("gateway_worker_starts_total", "how often a worker was started")
WORKER_DEATHS = _counter("gateway_worker_deaths_total", "how often one of several workers has died")
WORKER_SILENCE = _gauge(
    "gateway_worker_silent_seconds",
    "how long the event loop of a worker has been stuck",
    across="each",
)
BUILD = _gauge("gateway_build_info", "always 1", *("version", "python"), across="max")
CPU = Definition(
    "process_cpu_seconds_total", "counter", (), "processor time that a worker has taken", "each"
)
RESIDENT = _gauge("process_resident_memory_bytes", "memory of a worker", across="each")
VIRTUAL = _gauge("process_virtual_memory_bytes", "its address space", across="each")
OPEN_FILES = _gauge("process_open_fds", "its open files and connections", across="each")
MAX_FILES = _gauge("process_max_fds", "how many it may have", across="each")
STARTED_AT = _gauge(
    "process_start_time_seconds", "when it was started, in seconds since 1970", across="each"
)

DEFINITIONS = tuple(value for value in list(globals().values()) if isinstance(value, Definition))


def metrics_table() -> str:
    """Every metric as the page shows it."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in labels_of(one))} "
        f"| {one.text} |\n"
        for one in DEFINITIONS
    ]
    return "| metric | type | labels | what it counts |\n|---|---|---|---|\n" + "".join(rows)


def genai_table() -> str:
    """Those that OpenTelemetry has names for."""
    rows = [f"| `{one.name}` | {one.genai} |\n" for one in DEFINITIONS if one.genai]
    return "| metric here | name there |\n|---|---|\n" + "".join(rows)


def labels_of(definition: Definition) -> tuple[str, ...]:
    """The labels that it is shown with."""
    return (WORKER, *definition.labels) if definition.across == "each" else definition.labels
