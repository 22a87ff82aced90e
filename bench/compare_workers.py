"""The subject `workers`: what two workers carry, beside one.

The rule here: the machine does the same in both cases, or the machine would be measured. So one
worker is the mean of two gateways of one, a core each, and half of what any worker hears comes
from the other core: to wake a process there takes longer.
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
from bench.programs import HOST
from bench.systems import (
    GATEWAY_SETTINGS,
    Site,
    System,
    launch_gateway,
    make_gateway_directory,
    run_upstream,
)
from bench.ways import GATEWAY_COMPLETIONS, JSON_ANSWER, Answering, Way, stream_answer

SUBJECT = "workers"
DOCUMENT, CHUNK = "JSON request", "chunk"
ONE, TWO = "one worker", "two workers"
BUSIEST, RATE = "busiest by even share", "a second"
# Generators ask for the upstream of their own core, whichever worker they meet.
FIRST, SECOND = "http", "second"
SECOND_PROVIDER = """\
  second:
    base_url: http://{host}:{port}/v1
    allow_private: true
    env: HTTP_API_KEY
"""
LOADS = 2  # of each worker
JSON_CONNECTIONS = 32  # of each worker
WINDOW_S = 2.0
ALL_READY = "listening"  # what a gateway prints when all of it has started


@dataclass(frozen=True, slots=True)
class Load:
    """What asks, on one core, and of which gateway it does."""

    generator: Generator
    way: Way
    provider: str


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two cases: two gateways of one worker, or one of two."""

    row: str
    workers: tuple[int, ...]
    loads: tuple[Load, ...]
    gateways: int


def measure_workers(bench: Bench) -> None:
    """What really goes through, and what the busiest worker spends on each unit of it."""
    site = bench.site
    if not (HAS_PROC and site.cores.system and site.cores.others):
        bench.results.note("Two workers need Linux and two cores: not measured.")
        return
    cores = (site.cores.others, site.cores.system)  # the first upstream is on the one of these
    with ExitStack() as stack:
        settings = GATEWAY_SETTINGS
        if has_server():  # without shared counters several workers may not have limits
            server = run_server(site.make_directory("valkey"), Cores())
            address = stack.enter_context(server)
            settings = FULL_SETTINGS + SHARED_COUNTERS.format(address=address)
        second = stack.enter_context(
            run_upstream(site.make_directory("upstream"), Cores(others=cores[1]), site.open_files)
        )
        generators = [
            (provider, stack.enter_context(run_generator(site.scratch, Cores(others=core))))
            for provider, core in zip((FIRST, SECOND), cores, strict=True)
            for _ in cores  # for the one gateway and for the other
        ]
        more = SECOND_PROVIDER.format(host=HOST, port=second.upstream_ports["http"])
        apart = [stack.enter_context(_run_gateway(site, settings, more, (core,))) for core in cores]
        together = stack.enter_context(_run_gateway(site, settings, more, cores))
        sides = [
            _make_side(site, ONE, apart, generators),
            _make_side(site, TWO, [together], generators),
        ]
        for _ in range(bench.options.turns):
            for column, answering in (
                (DOCUMENT, JSON_ANSWER),
                (CHUNK, stream_answer(bench.options.chunks)),
            ):
                for side in sides:
                    any(_measure(bench, column, side, answering) for _ in range(TRIES))


@contextmanager
def _run_gateway(
    site: Site, settings: str, more_providers: str, cores: Sequence[frozenset[int]]
) -> Iterator[System]:
    """A gateway with a worker on each of these cores."""
    directory = make_gateway_directory(site, settings)
    with (directory / "providers.yaml").open("a") as providers:
        providers.write(more_providers)
    key = make_key(directory) if settings != GATEWAY_SETTINGS else None
    with launch_gateway(site, directory, key, ("--workers", str(len(cores)))) as system:
        # The first worker answers for the second, which is still starting.
        system.program.wait_for_word(ALL_READY)
        for worker, core in zip(find_workers(system.program.pid), cores, strict=True):
            _pin(worker, core)
        yield system


def _make_side(
    site: Site,
    row: str,
    systems: Sequence[System],
    generators: Sequence[tuple[str, Generator]],
) -> Side:
    ways = [Way(GATEWAY_COMPLETIONS, site, system) for system in systems]
    loads = tuple(
        Load(generator, ways[number % len(ways)], provider)
        for number, (provider, generator) in enumerate(generators)
    )
    workers = tuple(pid for system in systems for pid in find_workers(system.program.pid))
    return Side(row, workers, loads, len(systems))


def _measure(bench: Bench, column: str, side: Side, answering: Answering) -> bool:
    """One window; whether there is a figure."""
    print(f"  {SUBJECT}: {side.row}, {column}", flush=True)
    before = [read_cpu_ns([pid]) for pid in side.workers]
    for load in side.loads:
        load.generator.begin(_make_job(bench, load, answering))
    outcomes = [load.generator.finish() for load in side.loads]
    used = [read_cpu_ns([pid]) - then for pid, then in zip(side.workers, before, strict=True)]
    for load, outcome in zip(side.loads, outcomes, strict=True):
        bench.take(f"{SUBJECT}: {side.row}, {column}", load.way, outcome)
    units = sum(one.chunks if answering.chunks else one.exchanges for one in outcomes)
    if not units or not sum(used):
        return False
    # Of workers of one gateway: two gateways have what they were given.
    unevenness = 1.0 if side.gateways > 1 else max(used) * len(used) / sum(used)
    bench.results.add(
        SUBJECT,
        side.row,
        **{
            f"{column}, {RATE}": units
            * len(outcomes)
            / sum(one.window_s for one in outcomes)
            / side.gateways,
            column: _cost(side, outcomes, units) * unevenness,
            f"{column}, {BUSIEST}": unevenness,
        },
    )
    return True


def _cost(side: Side, outcomes: Sequence[Outcome], units: int) -> float:
    """CPU time of a unit; each generator has read all workers of the gateway that it asks."""
    used_ns = sum(one.system_cpu_ns for one in outcomes) * side.gateways / len(outcomes)
    return used_ns / MICRO_NS / units


def _make_job(bench: Bench, load: Load, answering: Answering) -> Repeat:
    options = bench.options
    stream_s = answering.chunks * CHUNK_GAP_S
    streams = max(1, options.streams // LOADS)
    return Repeat(
        ask=load.way.ask(load.provider, answering),
        watch=load.way.watch(),
        connections=streams if answering.chunks else JSON_CONNECTIONS // LOADS,
        ramp_s=stream_s,
        settle_s=options.settle_s,
        window_s=stream_s or min(WINDOW_S, options.seconds),
        patience_s=stream_s + PATIENCE_S,
    )


def _pin(pid: int, core: frozenset[int]) -> None:
    """Put a process on a core, with the threads that it has by now."""
    for thread in (PROC / f"{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), core)
