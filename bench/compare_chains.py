"""The subject `chain`: what keys, limits and the ledger cost on top of a bare gateway.

The rule here: the two gateways of a comparison are measured at the same moments, each by a load
generator of its own, because the ratios to be seen are smaller than what a minute of the machine
differs from the next.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from bench.chains import COMMON, list_chains, run_chain
from bench.counters import has_server
from bench.generator import Generator, run_generator
from bench.jobs import Outcome, Repeat
from bench.measure import CHUNK_GAP_S, JSON_CONNECTIONS, MICRO_NS, PATIENCE_S, TRIES, Bench
from bench.ways import JSON_ANSWER, Way, stream_answer

SUBJECT = "chain"
DOCUMENT, CHUNK = "JSON request", "chunk"
SCHEME = "http"  # where all else costs least, so that a ratio is at its largest
WINDOW_S = 2.0
BESIDE = ", beside "


def beside(yardstick: str, row: str) -> str:
    """The row of a yardstick, as it was measured beside another."""
    return f"{yardstick}{BESIDE}{row.removeprefix(COMMON)}"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two gateways of a comparison."""

    row: str
    way: Way
    generator: Generator


def measure_chains(bench: Bench) -> None:
    """CPU time of a JSON request and of a chunk, in each gateway and in its yardstick."""
    if not has_server():
        bench.results.note("There is no Valkey server here: the row with Redis is not measured.")
    chains = list_chains(bench.options.keys, has_redis=has_server())
    with ExitStack() as stack:
        ways = {
            chain.row: Way(chain.row, bench.site, stack.enter_context(run_chain(bench.site, chain)))
            for chain in chains
        }
        first, second = (
            stack.enter_context(run_generator(bench.site.scratch, bench.site.cores))
            for _ in range(2)
        )
        comparisons = [
            (
                Side(beside(chain.yardstick, chain.row), ways[chain.yardstick], first),
                Side(chain.row, ways[chain.row], second),
            )
            for chain in chains
            if chain.yardstick
        ]
        for _ in range(bench.options.turns):
            for sides in comparisons:
                for measure in (_measure_documents, _measure_chunks):
                    any(measure(bench, sides) for _ in range(TRIES))


def _measure_documents(bench: Bench, sides: Sequence[Side]) -> bool:
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

    outcomes = _run_at_once(bench, DOCUMENT, sides, make_job)
    return _add_costs(bench, DOCUMENT, sides, outcomes, [one.exchanges for one in outcomes])


def _measure_chunks(bench: Bench, sides: Sequence[Side]) -> bool:
    options = bench.options
    stream_s = options.chunks * CHUNK_GAP_S

    def make_job(way: Way) -> Repeat:
        return Repeat(
            ask=way.ask(SCHEME, stream_answer(options.chunks)),
            watch=way.watch(),
            connections=options.streams,
            ramp_s=stream_s,
            settle_s=options.settle_s,
            window_s=stream_s,  # in which each connection begins one answer
            patience_s=stream_s + PATIENCE_S,
        )

    outcomes = _run_at_once(bench, CHUNK, sides, make_job)
    loads_ns = sum(one.load_cpu_ns for one in outcomes)
    bench.check_pace(msgspec.structs.replace(outcomes[0], load_cpu_ns=loads_ns))
    return _add_costs(bench, CHUNK, sides, outcomes, [one.chunks for one in outcomes])


def _run_at_once(
    bench: Bench, column: str, sides: Sequence[Side], make_job: Callable[[Way], Repeat]
) -> list[Outcome]:
    """One window in both gateways."""
    print(f"  {SUBJECT}: {column}, {sides[1].row}", flush=True)
    for side in sides:
        side.generator.begin(make_job(side.way))
    return [
        bench.take(f"{SUBJECT}: {side.row}, {column}", side.way, side.generator.finish())
        for side in sides
    ]


def _add_costs(
    bench: Bench,
    column: str,
    sides: Sequence[Side],
    outcomes: Sequence[Outcome],
    counts: Sequence[int],
) -> bool:
    """Whether there is a figure for both: a ratio is taken between those of one window."""
    if not all(counts):
        return False
    for side, outcome, count in zip(sides, outcomes, counts, strict=True):
        cost = outcome.system_cpu_ns / MICRO_NS / count
        bench.results.add(SUBJECT, side.row, **{column: cost})
    return True
