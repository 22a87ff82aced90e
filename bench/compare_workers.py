"""The subject `workers`: what two workers carry, where one carries as much as its core lets it.

The rule here: one worker shares its core with its load and the upstream; two have a core and such a
load each. So one core of everything is held against two cores of everything.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.accounting import HAS_PROC, PROC, find_workers, read_cpu_ns
from bench.chains import FULL_SETTINGS, SHARED_COUNTERS, make_key
from bench.counters import has_server, run_server
from bench.generator import Generator, run_generator
from bench.jobs import Outcome, Repeat
from bench.machine import Cores
from bench.measure import CHUNK_GAP_S, MICRO_NS, PATIENCE_S, TRIES, Bench
from bench.systems import GATEWAY_SETTINGS, Site, launch_gateway, make_gateway_directory
from bench.ways import GATEWAY_COMPLETIONS, JSON_ANSWER, Answering, Way, stream_answer

SUBJECT = "workers"
DOCUMENT, CHUNK = "JSON request", "chunk"
ONE, TWO = "one worker", "two workers"
BUSIEST, RATE = "busiest by even share", "a second"
SCHEME = "http"
JSON_CONNECTIONS = 32  # of each worker
STREAMS_SHARE = 3  # of the streams that a core of its own carries, where it is shared
WINDOW_S = 2.0
ALL_READY = "listening"  # what a gateway prints when all of it has started


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two gateways."""

    row: str
    way: Way
    workers: tuple[int, ...]
    generators: tuple[Generator, ...]  # one for each worker
    cores: tuple[frozenset[int], ...]  # of each worker and its generator


def measure_workers(bench: Bench) -> None:
    """What the busiest worker spends on each unit of its even share, and how many there are."""
    cores = bench.site.cores
    if not (HAS_PROC and cores.system and cores.others):
        bench.results.note("Two workers need Linux and two cores: not measured.")
        return
    pair = (cores.system, cores.others)
    with ExitStack() as stack:
        settings, beside = GATEWAY_SETTINGS, [bench.site.upstream_pid]
        if has_server():  # without shared counters several workers may not have limits
            server = run_server(bench.site.make_directory("valkey"), Cores())
            address, pid = stack.enter_context(server)
            beside.append(pid)
            settings = FULL_SETTINGS + SHARED_COUNTERS.format(address=address)
        sides = [
            stack.enter_context(_run_side(bench.site, row, settings, pair[:count]))
            for row, count in ((ONE, 1), (TWO, 2))
        ]
        stack.callback(os.sched_setaffinity, bench.site.upstream_pid, cores.others)
        for _ in range(bench.options.turns):
            for column, answering in (
                (DOCUMENT, JSON_ANSWER),
                (CHUNK, stream_answer(bench.options.chunks)),
            ):
                for side in sides:
                    for pid in beside:
                        _pin(pid, frozenset().union(*side.cores))
                    any(_measure(bench, column, side, answering) for _ in range(TRIES))


@contextmanager
def _run_side(
    site: Site, row: str, settings: str, cores: tuple[frozenset[int], ...]
) -> Iterator[Side]:
    directory = make_gateway_directory(site, settings)
    key = make_key(directory) if settings != GATEWAY_SETTINGS else None
    more = ("--workers", str(len(cores)))
    with launch_gateway(site, directory, key, more) as system, ExitStack() as stack:
        # The first worker answers for the second, which is still starting.
        system.program.wait_for_word(ALL_READY)
        workers = find_workers(system.program.pid)
        for worker, core in zip(workers, cores, strict=True):
            _pin(worker, core)
        generators = tuple(
            stack.enter_context(run_generator(site.scratch, Cores(others=core))) for core in cores
        )
        yield Side(row, Way(GATEWAY_COMPLETIONS, site, system), workers, generators, cores)


def _measure(bench: Bench, column: str, side: Side, answering: Answering) -> bool:
    """One window; whether there is a figure."""
    print(f"  {SUBJECT}: {side.row}, {column}", flush=True)
    before = [read_cpu_ns([pid]) for pid in side.workers]
    for generator in side.generators:
        generator.begin(_make_job(bench, side, answering))
    outcomes = [generator.finish() for generator in side.generators]
    used = [read_cpu_ns([pid]) - then for pid, then in zip(side.workers, before, strict=True)]
    for outcome in outcomes:
        bench.take(f"{SUBJECT}: {side.row}, {column}", side.way, outcome)
    units = sum(one.chunks if answering.chunks else one.exchanges for one in outcomes)
    if not units or not sum(used):
        return False
    unevenness = max(used) * len(used) / sum(used)
    bench.results.add(
        SUBJECT,
        side.row,
        **{
            column: _cost(outcomes, units) * unevenness,
            f"{column}, {BUSIEST}": unevenness,
            f"{column}, {RATE}": units * len(outcomes) / sum(one.window_s for one in outcomes),
        },
    )
    return True


def _cost(outcomes: Sequence[Outcome], units: int) -> float:
    # Each generator has read all workers in its own window, which are as good as the same.
    return sum(one.system_cpu_ns for one in outcomes) / len(outcomes) / MICRO_NS / units


def _make_job(bench: Bench, side: Side, answering: Answering) -> Repeat:
    options = bench.options
    stream_s = answering.chunks * CHUNK_GAP_S
    streams = max(1, options.streams // STREAMS_SHARE)
    return Repeat(
        ask=side.way.ask(SCHEME, answering),
        watch=side.way.watch(),
        connections=streams if answering.chunks else JSON_CONNECTIONS,
        ramp_s=stream_s,
        settle_s=options.settle_s,
        window_s=stream_s or min(WINDOW_S, options.seconds),
        patience_s=stream_s + PATIENCE_S,
    )


def _pin(pid: int, core: frozenset[int]) -> None:
    """Put a process on a core, with the threads that it has by now."""
    for thread in (PROC / f"{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), core)
