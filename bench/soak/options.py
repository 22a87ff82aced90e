"""The command line of the soak.

The rule here: what is left out is the run that is published.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Options:
    """How long, how much, how many processes."""

    seconds: float = 1800
    streams: int = 300
    workers: int = 2
    chunks: int = 100
    gap_s: float = 0.05  # between the chunks of a stream: 20 tokens a second
    every_s: float = 5.0  # between two samples
    keep: Path | None = None  # where log, ledger and journal stay


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """What the command line asks for."""
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description="The gateway under load and faults for a long time.",
    )
    add = parser.add_argument
    add("--seconds", type=float, default=usual.seconds, help="how long (1800)")
    add("--streams", type=int, default=usual.streams, help="streams at a time (300)")
    add("--workers", type=int, default=usual.workers, help="processes of the gateway (2)")
    add("--chunks", type=int, default=usual.chunks, help="content chunks of a stream (100)")
    add("--gap", dest="gap_s", type=float, default=usual.gap_s, help="between two chunks, s (0.05)")
    add("--every", dest="every_s", type=float, default=usual.every_s, help="between samples, s (5)")
    add("--keep", type=Path, help="a new directory in which log, ledger and journal stay")
    options = Options(**vars(parser.parse_args(arguments)))
    if not 0 < options.seconds <= LONGEST_S or min(options.streams, options.workers) < 1:
        parser.error(f"at most {LONGEST_S} seconds, and at least one stream and one worker")
    return options
