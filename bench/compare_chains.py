"""The subject `chain`: what keys, limits and the ledger cost on top of a bare gateway.

The rule here: the gateways are measured at the same moments, each by a load generator of its own,
because the ratios to be seen are smaller than what a minute of the machine differs from the next.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec

from bench.chains import list_chains, run_chain
from bench.counters import has_server
from bench.generator import Generator, run_generator
from bench.jobs import Outcome, Repeat
from bench.measure import CHUNK_GAP_S, JSON_CONNECTIONS, MICRO_NS, PATIENCE_S, Bench
from bench.ways import JSON_ANSWER, Way, stream_answer

SUBJECT = "chain"
DOCUMENT, CHUNK = "JSON request", "chunk"
SCHEME = "http"  # where all else costs least, so that a ratio is at its largest
WINDOW_S = 2.0

Pair = tuple[Way, Generator]


def measure_chains(bench: Bench) -> None:
    """CPU time of a JSON request and of a chunk, in all gateways at once."""
    if not has_server():
        bench.results.note("There is no Valkey server here: the row with Redis is not measured.")
    with ExitStack() as stack:
        pairs = [
            (
                Way(chain.row, bench.site, stack.enter_context(run_chain(bench.site, chain))),
                stack.enter_context(run_generator(bench.site.scratch, bench.site.cores)),
            )
            for chain in list_chains(bench.options.keys, has_redis=has_server())
        ]
        for _ in range(bench.options.turns):
            _measure_documents(bench, pairs)
            _measure_chunks(bench, pairs)


def _measure_documents(bench: Bench, pairs: Sequence[Pair]) -> None:
    def make_job(way: Way) -> Repeat:
        return Repeat(
            ask=way.ask(SCHEME, JSON_ANSWER),
            watch=way.watch(),
            connections=JSON_CONNECTIONS,
            ramp_s=0,
            settle_s=bench.options.settle_s,
            window_s=min(WINDOW_S, bench.options.seconds),
            patience_s=PATIENCE_S,
        )

    outcomes = _run_at_once(bench, DOCUMENT, pairs, make_job)
    _add_costs(bench, DOCUMENT, pairs, outcomes, [one.exchanges for one in outcomes])


def _measure_chunks(bench: Bench, pairs: Sequence[Pair]) -> None:
    options = bench.options
    stream_s = options.chunks * CHUNK_GAP_S

    def make_job(way: Way) -> Repeat:
        return Repeat(
            ask=way.ask(SCHEME, stream_answer(options.chunks)),
            watch=way.watch(),
            connections=max(1, options.streams // len(pairs)),
            ramp_s=stream_s,
            settle_s=options.settle_s,
            window_s=stream_s,  # in which each connection begins one answer
            patience_s=stream_s + PATIENCE_S,
        )

    outcomes = _run_at_once(bench, CHUNK, pairs, make_job)
    loads_ns = sum(one.load_cpu_ns for one in outcomes)
    bench.check_pace(msgspec.structs.replace(outcomes[0], load_cpu_ns=loads_ns))
    _add_costs(bench, CHUNK, pairs, outcomes, [one.chunks for one in outcomes])


def _run_at_once(
    bench: Bench, column: str, pairs: Sequence[Pair], make_job: Callable[[Way], Repeat]
) -> list[Outcome]:
    """One window in all gateways."""
    print(f"  {SUBJECT}: {column}, {len(pairs)} gateways at once", flush=True)
    for way, generator in pairs:
        generator.begin(make_job(way))
    return [
        bench.take(f"{SUBJECT}: {way.row}, {column}", way, generator.finish())
        for way, generator in pairs
    ]


def _add_costs(
    bench: Bench,
    column: str,
    pairs: Sequence[Pair],
    outcomes: Sequence[Outcome],
    counts: Sequence[int],
) -> None:
    if not all(counts):
        return  # a ratio is taken between figures of one window
    for (way, _), outcome, count in zip(pairs, outcomes, counts, strict=True):
        cost = outcome.system_cpu_ns / MICRO_NS / count
        bench.results.add(SUBJECT, way.row, **{column: cost})
