"""What comes out of the gateway when eight times as much comes as it lets in.

The rule here: what it lets in is set, so that the load is a multiple of something known on any
machine; the other core has to bear upstream and load.
"""

from bench.figures import percentile
from bench.jobs import Surge
from bench.measure import CHUNK_GAP_S, MILLI_PER_S, PATIENCE_S, Bench
from bench.systems import run_gateway
from bench.ways import GATEWAY_COMPLETIONS, Way, stream_answer

FACTORS = (1, 2, 4, 8)
SETTINGS = "overload: {{max_in_flight: {most}}}\n"
OF_STREAMS = 3  # what is let in is a third of `--streams`: the other core bears that many with ease
ANSWERS, REFUSED = "answers a second", "refused a second"
REFUSED_P99, BUSY = "ms to a refusal, p99", "core busy"
OTHERS_BUSY = "core busy, load and upstream"  # near 100 it is they that are measured


def row_of(factor: int) -> str:
    """The row for so many times what it lets in."""
    return f"gateway, {factor} x"


def measure_overload(bench: Bench) -> None:
    """Answers and refusals at once, twice, four and eight times what the gateway lets in."""
    options = bench.options
    stream_s = options.chunks * CHUNK_GAP_S
    most = max(1, options.streams // OF_STREAMS)
    with run_gateway(bench.site, SETTINGS.format(most=most)) as system:
        way = Way(GATEWAY_COMPLETIONS, bench.site, system)
        for _ in range(options.rounds):
            for factor in FACTORS:
                job = Surge(
                    ask=way.ask("http", stream_answer(options.chunks)),
                    watch=way.watch(),
                    fill_per_s=most / stream_s,
                    fill_s=stream_s,
                    per_s=factor * most / stream_s,
                    warm_s=2 * stream_s + options.settle_s,  # then as many end as begin
                    window_s=max(options.seconds, stream_s),
                    patience_s=stream_s + PATIENCE_S,
                )
                outcome = bench.run(f"overload: {factor} x", way, job)
                if not outcome.window_s:
                    continue
                others_ns = outcome.upstream_cpu_ns + outcome.load_cpu_ns
                columns = {
                    ANSWERS: outcome.exchanges / outcome.window_s,
                    REFUSED: len(outcome.refused_s) / outcome.window_s,
                    BUSY: 100 * outcome.system_cpu_ns / 1e9 / outcome.window_s,
                    OTHERS_BUSY: 100 * others_ns / 1e9 / outcome.window_s,
                }
                if outcome.refused_s:
                    columns[REFUSED_P99] = percentile(outcome.refused_s, 0.99) * MILLI_PER_S
                bench.results.add("overload", row_of(factor), **columns)
