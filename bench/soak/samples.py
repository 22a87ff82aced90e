"""What the processes of the gateway take, from time to time; and whether it grows.

The rule here: each process is looked at for itself, or one that shrinks hides one that grows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.accounting import PROC, read_rss_bytes

MEBIBYTE = 1024 * 1024
WARM_UP = 0.3  # of the run: pools, caches and the allocator's arenas fill


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    at_s: float
    pid: int
    rss_bytes: int
    files: int
    tasks: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Trend:
    """How one figure of one process went after the warm-up."""

    first: float  # the line through all samples, at its begin and at its end
    last: float
    seconds: float
    highest: float

    @property
    def growth(self) -> float:
        """From begin to end."""
        return self.last - self.first

    @property
    def per_ten_minutes(self) -> float:
        """Its slope."""
        return self.growth * 600 / self.seconds if self.seconds else 0.0


def take_sample(at_s: float, pid: int, inside: dict[str, int]) -> Sample:
    """What there is to be seen of a process, beside what it says of itself."""
    return Sample(
        at_s,
        pid,
        rss_bytes=read_rss_bytes([pid]),
        files=len(list((PROC / f"{pid}/fd").iterdir())),
        tasks=inside["tasks"],
        blocks=inside["blocks"],
    )


def find_trend(samples: Sequence[Sample], figure: str) -> Trend:
    """The line through a figure of one process, by least squares, without the warm-up."""
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    warm_s = first_s + WARM_UP * (last_s - first_s)
    points = [(one.at_s, float(getattr(one, figure))) for one in samples if one.at_s >= warm_s]
    mean_x, mean_y = _mean(x for x, _ in points), _mean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    begin, end = points[0][0], points[-1][0]
    return Trend(
        first=mean_y + slope * (begin - mean_x),
        last=mean_y + slope * (end - mean_x),
        seconds=end - begin,
        highest=max(y for _, y in points),
    )


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)
