"""The benchmark's command line.

The rule here: a size left out is that of the published figures, or of a quick run.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

SUBJECTS = ("chunk", "json", "ttfc", "rss", "start", "chain", "workers", "overload")
SYSTEMS = ("nginx", "relay", "gateway")
LONGEST_S = 600
SETTLE_S = 0.3
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how long."""

    only: tuple[str, ...] = SUBJECTS
    systems: tuple[str, ...] = SYSTEMS
    rounds: int = 3
    seconds: float = 3
    streams: int = 300
    open_streams: int = 5000
    starts: int = 5
    chunks: int = 100
    turns: int = 10
    keys: int = 1_000_000
    results: Path = RESULTS

    @property
    def settle_s(self) -> float:
        """How long a system may settle before anything is counted."""
        return min(SETTLE_S, self.seconds)


QUICK = Options(rounds=1, seconds=1, open_streams=500, starts=3, turns=4)


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """What the command line asks for."""
    given = vars(_build_parser().parse_args(arguments))
    sizes = QUICK if given.pop("quick") else Options()
    return replace(sizes, **{name: value for name, value in given.items() if value is not None})


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="This gateway, plain nginx and a plain aiohttp relay side by side.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="about a minute: fewer rounds, shorter, fewer streams")
    add("--only", type=_names(SUBJECTS), help=f"some of {','.join(SUBJECTS)}")
    add("--systems", type=_names(SYSTEMS), help=f"some of {','.join(SYSTEMS)}")
    add("--rounds", type=_number, help="how often each figure is taken (3)")
    add("--seconds", type=_duration, help="how long each measurement counts (3)")
    add("--streams", type=_number, help="concurrent streams for the cost of a chunk (300)")
    add("--open-streams", type=_number, help="open streams for the memory of one (5000)")
    add("--starts", type=_number, help="how often each system is started (5)")
    add("--chunks", type=_number, help="content chunks of a stream (100)")
    add(
        "--turns", type=_number, help="how often each figure of `chain` and `workers` is taken (10)"
    )
    add("--keys", type=_number, help="stored keys of the gateway that has many (1000000)")
    add("--results", type=Path, help="directory for the report (bench/results)")
    return parser


def _names(known: tuple[str, ...]) -> "argparse._ActionType":
    def read(text: str) -> tuple[str, ...]:
        names = text.split(",")
        if not set(names) <= set(known):
            raise argparse.ArgumentTypeError(f"needs some of {','.join(known)}")
        return tuple(name for name in known if name in names)

    return read


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("needs to be at least 1")
    return number


def _duration(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"needs to be more than 0 and at most {LONGEST_S}")
    return seconds
