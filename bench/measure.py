"""The subjects: what is asked for, and which figure comes out of the answer.

The rule here: rounds alternate the systems, so that a busy minute of the machine meets all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.figures import Results, percentile
from bench.generator import Generator
from bench.jobs import Arrive, Hold, Job, Outcome, Repeat
from bench.machine import most_streams
from bench.options import Options
from bench.systems import STARTS, Site, System
from bench.ways import (
    DIRECT,
    GATEWAY_CHAT,
    JSON_ANSWER,
    ROWS,
    SCHEMES,
    Way,
    stream_answer,
)

CHUNK_GAP_S = 0.02  # of the preset `bench`
JSON_CONNECTIONS = 16
ARRIVALS_PER_S = 100
ARRIVING_CHUNKS = 3
# Slow enough for thousands of streams at a time, long enough to outlast their opening.
HELD_GAP_S = 1.0
HELD_CHUNKS = 3600
WARM_STREAMS = 20
PATIENCE_S = 10
TRIES = 3  # for a window in which something came
# Above this the core of upstream and load is full, and the pace is no longer the intended one.
BUSY_LIMIT = 0.95
# Above this share of the time, waiting for a core is more than the system's own threads' doing.
WAIT_LIMIT = 0.1
MICRO_NS, MILLI_PER_S, KIB, MIB = 1000, 1000, 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bench:
    """What every subject works with."""

    options: Options
    site: Site
    generator: Generator
    results: Results

    def run(self, label: str, way: Way, job: Job) -> Outcome:
        """Run a job and count what failed in it."""
        print(f"  {label}", flush=True)
        return self.take(label, way, self.generator.run(job))

    def run_window(self, label: str, way: Way, job: Repeat) -> Outcome:
        """Run a job; again when nothing came in its window: a machine may be too busy for it."""
        outcome = self.run(label, way, job)
        for _ in range(TRIES - 1):
            if outcome.chunks or outcome.exchanges:
                break
            outcome = self.run(label, way, job)
        return outcome

    def take(self, label: str, way: Way, outcome: Outcome) -> Outcome:
        """Count what failed in a job that was run."""
        if way.system is not None:
            way.system.program.check()
        self.results.exchanges += outcome.exchanges + outcome.open_streams
        for reason, count in outcome.failures.items():
            self.results.failures[label, reason] += count
        return outcome

    def in_rounds(self, ways: Sequence[Way], measure: Callable[[Way, str], None]) -> None:
        """Measure each way over each upstream, and again as often as asked."""
        for _ in range(self.options.rounds):
            for scheme in SCHEMES:
                for way in ways:
                    measure(way, scheme)

    def check_quiet(self, outcome: Outcome) -> None:
        """Say it when somebody else used the core of the system under test."""
        if outcome.system_wait_ns / 1e9 > WAIT_LIMIT * outcome.window_s:
            self.results.note(
                "In some runs the system under test had to wait for its core: "
                "another program was busy there, so trust the ratios more than the times."
            )

    def check_pace(self, outcome: Outcome) -> None:
        """Say it when the streams cannot have had their intended pace."""
        used_s = (outcome.upstream_cpu_ns + outcome.load_cpu_ns) / 1e9
        if self.site.cores.others and used_s > BUSY_LIMIT * outcome.window_s > 0:
            self.results.note(
                "In some runs upstream and load filled their core: "
                "those ran at a slower pace, with more chunks to a read."
            )


def measure_chunks(bench: Bench, ways: Sequence[Way]) -> None:
    """CPU time of a streamed chunk."""
    options = bench.options
    answering = stream_answer(options.chunks)
    stream_s = options.chunks * CHUNK_GAP_S

    def measure(way: Way, scheme: str) -> None:
        job = Repeat(
            ask=way.ask(scheme, answering),
            watch=way.watch(),
            connections=options.streams,
            ramp_s=stream_s,
            settle_s=options.settle_s,
            window_s=options.seconds,
            patience_s=stream_s + PATIENCE_S,
        )
        outcome = bench.run_window(f"chunk: {way.row}, {scheme}", way, job)
        bench.check_pace(outcome)
        _add_cost(bench, "chunk", (way.row, scheme), outcome, count=outcome.chunks)

    bench.in_rounds(ways, measure)


def measure_documents(bench: Bench, ways: Sequence[Way]) -> None:
    """CPU time of a request that is answered with a small JSON document."""
    options = bench.options

    def measure(way: Way, scheme: str) -> None:
        job = Repeat(
            ask=way.ask(scheme, JSON_ANSWER),
            watch=way.watch(),
            connections=JSON_CONNECTIONS,
            ramp_s=0,
            settle_s=options.settle_s,
            window_s=options.seconds,
            patience_s=PATIENCE_S,
        )
        outcome = bench.run_window(f"json: {way.row}, {scheme}", way, job)
        _add_cost(bench, "json", (way.row, scheme), outcome, count=outcome.exchanges)

    bench.in_rounds([way for way in ways if way.row != GATEWAY_CHAT], measure)


def measure_first_content(bench: Bench, ways: Sequence[Way]) -> None:
    """What a system adds to the time to the first content."""
    options = bench.options
    answering = stream_answer(ARRIVING_CHUNKS, gap_s=0)
    direct: dict[str, tuple[float, float]] = {}

    def measure(way: Way, scheme: str) -> None:
        job = Arrive(
            ask=way.ask(scheme, answering),
            watch=way.watch(),
            per_s=ARRIVALS_PER_S,
            warm_s=options.settle_s,
            window_s=options.seconds,
            patience_s=PATIENCE_S,
        )
        times = bench.run(f"ttfc: {way.row}, {scheme}", way, job).first_content_s
        if not times or (way.row != DIRECT and scheme not in direct):
            return
        half, most = (percentile(times, share) * MILLI_PER_S for share in (0.5, 0.99))
        if way.row == DIRECT:
            direct[scheme] = (half, most)
        else:
            half, most = half - direct[scheme][0], most - direct[scheme][1]
        bench.results.add("ttfc", way.row, **{f"{scheme} p50": half, f"{scheme} p99": most})

    bench.in_rounds([Way(DIRECT, bench.site, None), *ways], measure)


def measure_memory(bench: Bench) -> None:
    """Memory of an open stream: of a system that was just started, for freed memory stays its."""
    wanted = bench.options.open_streams
    streams = min(wanted, most_streams(bench.site.open_files))
    if streams < wanted:
        bench.results.note(
            f"Memory was read at {streams} streams, not {wanted}: "
            f"no more than {bench.site.open_files} files may be open here."
        )
    for scheme in SCHEMES:
        for name in bench.options.systems:
            with STARTS[name](bench.site) as system:
                _measure_memory_of(bench, system, scheme, streams)


def _measure_memory_of(bench: Bench, system: System, scheme: str, streams: int) -> None:
    options = bench.options
    way = Way(ROWS[system.name][0], bench.site, system)
    job = Hold(
        ask=way.ask(scheme, stream_answer(HELD_CHUNKS, gap_s=HELD_GAP_S)),
        watch=way.watch(),
        streams=min(WARM_STREAMS, streams),
        settle_s=options.settle_s,
        patience_s=PATIENCE_S,
    )
    # What the first streams bring in once is not the price of a stream.
    bench.run(f"rss: {way.row}, {scheme}, warming up", way, job)
    settle_s = min(2 * HELD_GAP_S, options.seconds)
    held = Hold(job.ask, job.watch, streams, settle_s, patience_s=PATIENCE_S)
    outcome = bench.run(f"rss: {way.row}, {scheme}, {streams} streams", way, held)
    if outcome.open_streams:
        grown_bytes = outcome.loaded_bytes - outcome.idle_bytes
        bench.results.add(
            "rss",
            way.row,
            **{
                "idle MiB": outcome.idle_bytes / MIB,
                f"{scheme} KiB per stream": grown_bytes / KIB / outcome.open_streams,
            },
        )


def measure_starts(bench: Bench) -> None:
    """Time from the start of a program to its first answer."""
    for number in range(bench.options.starts + 1):
        for name in bench.options.systems:
            with STARTS[name](bench.site) as system:
                if number:  # the first one reads the files into memory
                    bench.results.add("start", ROWS[name][0], seconds=system.program.start_s)


def _add_cost(
    bench: Bench, subject: str, cell: tuple[str, str], outcome: Outcome, *, count: int
) -> None:
    if not count:
        return
    bench.check_quiet(outcome)
    row, scheme = cell
    cost = outcome.system_cpu_ns / MICRO_NS / count
    busy = 100 * outcome.system_cpu_ns / 1e9 / outcome.window_s
    bench.results.add(subject, row, **{scheme: cost, f"core busy, {scheme}": busy})
