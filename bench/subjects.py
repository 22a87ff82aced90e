"""All subjects, in the order in which they are measured.

The rule here: systems that are measured together are started once, for all those subjects.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from bench.compare_chains import measure_chains
from bench.compare_workers import measure_workers
from bench.measure import (
    Bench,
    measure_chunks,
    measure_documents,
    measure_first_content,
    measure_memory,
    measure_starts,
)
from bench.overload import measure_overload
from bench.systems import STARTS
from bench.ways import Way, ways_through

TOGETHER: Mapping[str, Callable[[Bench, Sequence[Way]], None]] = {
    "chunk": measure_chunks,
    "json": measure_documents,
    "ttfc": measure_first_content,
}
FRESH: Mapping[str, Callable[[Bench], None]] = {
    "rss": measure_memory,
    "start": measure_starts,
    "chain": measure_chains,
    "workers": measure_workers,
    "overload": measure_overload,
}


def measure_all(bench: Bench) -> None:
    """Measure every subject that was asked for."""
    only = bench.options.only
    together = [subject for subject in TOGETHER if subject in only]
    with ExitStack() as stack:
        systems = [
            stack.enter_context(STARTS[name](bench.site))
            for name in (bench.options.systems if together else ())
        ]
        ways = [way for system in systems for way in ways_through(bench.site, system)]
        for subject in together:
            TOGETHER[subject](bench, ways)
    for subject in FRESH:
        if subject in only:
            print(f"  {subject}", flush=True)
            FRESH[subject](bench)
