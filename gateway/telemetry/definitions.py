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
    "gateway_attempts_total", "requests to providers; those beyond one a request are retries",
    "provider",
)  # fmt: skip
STALLS = _counter(
    "gateway_stalls_total",
    "answers that were ended because the `side`, `provider` or `caller`, stood still for too long",
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
    "of those in: what the provider had in its cache",
    *("provider", "model"),
    genai="sum of `gen_ai.usage.cache_read.input_tokens`",
)
REASONING_TOKENS = _counter(
    "gateway_tokens_reasoning_total",
    "of those out: what the model thought",
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
    "requests that took tokens of a model without a price, of a provider that does not say what "
    "it charges",
    *("provider", "model"),
)
REFUSALS = _counter(
    "gateway_limit_refusals_total",
    "requests that a rule of [limits](limits.md) refused, or would have refused",
    *("rule", "dry_run"),
)
SHED = _counter(
    "gateway_overload_refusals_total",
    "requests that were refused because no more can be borne, see [overload](overload.md)",
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
    "the provider's part of that: from the request that was sent to the first content of its "
    "answer",
    "provider",
    bounds=SECONDS,
    genai="`gen_ai.client.operation.time_to_first_chunk`",
)
ADDED = _histogram(
    "gateway_added_seconds",
    "the gateway's part of that, and of the same for whole replies: what it added before the "
    "request was sent and after the content came, without its waiting for the caller's body or for "
    "a connection to be opened; requests with one attempt only",
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
    "the provider's part of that, of the last attempt; waits for a caller who did not keep up are "
    "left out",
    "provider",
    bounds=SECONDS,
    genai="`gen_ai.client.operation.duration`",
)
GAP = _histogram(
    "gateway_chunk_gap_seconds",
    "mean time between pieces of content as the provider sent them, once for each stream; these "
    "waits are left out too",
    "provider",
    bounds=GAP_SECONDS,
    genai="`gen_ai.client.operation.time_per_output_chunk`, which is there for each piece",
)
LONGEST_GAP = _histogram(
    "gateway_chunk_gap_longest_seconds",
    "longest of these times, once for each stream; of one that was cut, or whose caller left, also "
    "that from the last piece to its end",
    "provider",
    bounds=GAP_SECONDS,
)
ADDED_GAP = _histogram(
    "gateway_chunk_added_seconds",
    "what the gateway added to a piece of content, from reading it to writing it; two a second "
    "are measured. How late it was read is the lag of the event loop",
    bounds=(0.00005, 0.0001, *SHORT_SECONDS),
)
BYTES_OUT = _histogram("gateway_response_bytes", "bytes of answers", "provider", bounds=BYTES)
IN_FLIGHT = _gauge("gateway_exchanges_in_flight", "requests that are not settled")
IN_FLIGHT_LIMIT = _gauge(
    "gateway_exchanges_limit", "requests for answers that are let in at a time; less under load"
)
UPSTREAM_IN_FLIGHT = _gauge(
    "gateway_upstream_in_flight", "requests that a provider has not finished answering", "provider"
)
CONNECTIONS = _gauge(
    "gateway_upstream_connections",
    "connections to a provider: `busy`, `idle` or `dialing`; nothing waits for one",
    *("provider", "state"),
)
CONNECTIONS_LIMIT = _gauge(
    "gateway_upstream_connections_limit",
    "`max_connections` of a provider, in all workers; above it calls are refused",
    "provider",
)
PLACES = _gauge(
    "gateway_limit_places_taken",
    "requests in flight that a rule with `concurrent` has let in",
    "rule",
)
DEGRADED = _gauge(
    "gateway_degraded",
    "1 while a part does without another one: `counters` without "
    "[Redis](limits.md#when-redis-is-gone)",
    "component",
    across="max",
)
TRACE_SPANS = _counter(
    "gateway_trace_spans_total",
    "spans that the collector of [traces](tracing.md) has taken (`sent`), and those that it will "
    "never get (`dropped`)",
    "outcome",
)
LOST = _counter(
    "gateway_settlements_lost_total",
    "settlements that no store was told of, because it was gone for too long",
    "component",
)
LEDGER_BACKLOG = _gauge(
    "gateway_ledger_backlog_bytes",
    "what is in the [ledger](ledger.md)'s journal and not in the database",
)
LEDGER_HELD = _gauge(
    "gateway_ledger_held", "exchanges that are in memory alone, because no file takes them"
)
LEDGER_UNWRITTEN = _counter(
    "gateway_ledger_unwritten_total", "exchanges that were not booked, since the start"
)
LEDGER_STORE_DOWN = _gauge(
    "gateway_ledger_store_down", "1 while the database takes nothing", across="max"
)
CREDENTIAL_IN_FLIGHT = _gauge(
    "gateway_credential_in_flight",
    "requests that hold a credential",
    *("provider", "credential_id"),
)
CREDENTIAL_STATE = _gauge(
    "gateway_credential_state",
    "workers in which a [credential](../configure/credential-pool.md) is in that state, 0 for the "
    "states that it is not in",
    *("provider", "credential_id", "state"),
)
BREAKER_STATE = _gauge(
    "gateway_breaker_state",
    "workers in which the breaker of a provider is in that state: `closed`, `open` or `half_open`",
    *("provider", "state"),
)
CONFIG_GENERATION = _gauge(
    "gateway_config_generation",
    "how many times `gateway.yaml` was read well, the start included; the smallest of the workers",
    across="min",
)
CONFIG_RELOAD_FAILED = _gauge(
    "gateway_config_reload_failed",
    "1 while the last [reading](logs.md#reading-the-settings-anew) of it has failed",
    across="max",
)
LINES_DROPPED = _counter(
    "gateway_log_lines_dropped_total",
    "lines of the [log](logs.md#when-nobody-takes-them) that nobody took",
)
LINES_SAMPLED = _counter("gateway_log_lines_sampled_total", "lines that `logging.events` left out")
LINES_WITHHELD = _counter(
    "gateway_log_lines_withheld_total", "lines of one mistake that came too often"
)
CONTENT_DROPPED = _counter(
    "gateway_log_content_dropped_total", "lines of `logging.content` that nobody took"
)
LOOP_LAG = _histogram(
    "gateway_event_loop_lag_seconds",
    "how late the event loop came to what was due, measured twice a second",
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
WORKER_STARTS = _counter("gateway_worker_starts_total", "how often one of them was started")
WORKER_DEATHS = _counter("gateway_worker_deaths_total", "how often one of several of them has died")
WORKER_SILENCE = _gauge(
    "gateway_worker_silent_seconds",
    "how long the event loop of a worker has not come round",
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
