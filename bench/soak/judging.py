"""What a run must have shown, and the table that says so.

The rule here: a bound is stated with the figure that it is for; a run too short to tell is not
judged by it, and says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.soak.samples import MEBIBYTE, Sample, find_trend

# Of one process, after the warm-up. Growth beside the slope: a megabyte in a minute is noise.
MAX_SLOPE_MIB = 1.0  # in ten minutes
MIN_GROWTH_MIB = 1.0
MAX_DRIFT = 0.1  # of files and tasks, from begin to end, while callers are as many all the time
FEW = 20  # files or tasks, which come and go
LONG_ENOUGH_S = 120


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    value: str
    bound: str
    is_met: bool


def judge_processes(samples: Mapping[int, Sequence[Sample]], after: Sequence[Sample]) -> list[Row]:
    """The rows about what each process took."""
    rest = {one.pid: one for one in after}
    rows: list[Row] = []
    for number, (pid, taken) in enumerate(samples.items()):
        rows += _judge_memory(f"worker {number}", taken)
        for figure in ("files", "tasks"):
            rows.append(_judge_count(f"worker {number}", figure, taken, rest[pid]))
    return rows


def _judge_memory(worker: str, taken: Sequence[Sample]) -> Iterator[Row]:
    trend = find_trend(taken, "rss_bytes")
    slope, growth = trend.per_ten_minutes / MEBIBYTE, trend.growth / MEBIBYTE
    is_long = _is_long(taken)
    yield Row(
        f"{worker}: memory, MiB in 10 minutes",
        f"{slope:+.2f} ({trend.first / MEBIBYTE:.1f} to {trend.last / MEBIBYTE:.1f} MiB)",
        f"≤ {MAX_SLOPE_MIB:g}" if is_long else "too short to tell",
        not is_long or slope <= MAX_SLOPE_MIB or growth <= MIN_GROWTH_MIB,
    )
    blocks = find_trend(taken, "blocks")
    yield Row(
        f"{worker}: Python's blocks, thousands",
        f"{blocks.first / 1000:.0f} to {blocks.last / 1000:.0f}",
        "shown",
        is_met=True,
    )


def _judge_count(worker: str, figure: str, taken: Sequence[Sample], after: Sample) -> Row:
    trend = find_trend(taken, figure)
    before, idle = getattr(taken[0], figure), getattr(after, figure)
    is_long = _is_long(taken)  # else the callers are not all there yet
    is_flat = not is_long or trend.growth <= max(FEW, MAX_DRIFT * trend.first)
    return Row(
        f"{worker}: {figure}",
        f"{trend.first:.0f} to {trend.last:.0f}, {before} before and {idle} after the load",
        "flat, and gone afterwards" if is_long else "gone afterwards",
        is_flat and idle <= before + FEW,
    )


def _is_long(taken: Sequence[Sample]) -> bool:
    return taken[-1].at_s - taken[0].at_s >= LONG_ENOUGH_S


def render(rows: Sequence[Row]) -> str:
    """The table."""
    cells = [("figure", "value", "bound", "met"), ("-", "-", "-", "-")]
    cells += [(row.what, row.value, row.bound, "yes" if row.is_met else "NO") for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    cells[1] = ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * widths[3])
    lines = (
        " | ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        for line in cells
    )
    return "\n".join(f"| {line} |" for line in lines)
