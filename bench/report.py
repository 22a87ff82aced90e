"""The report: a table for each subject, the ratios to nginx, and what a reader must know.

The rule here: Markdown that reads well in a terminal; failures and notes stand with the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.chains import BARE, FULL, FULL_KEYS, FULL_REDIS, HEARD, SILENT
from bench.compare_chains import BESIDE, CHUNK, DOCUMENT, beside
from bench.compare_workers import ONE, RATE, TWO
from bench.figures import Figure, Results
from bench.options import Options
from bench.overload import ANSWERS, REFUSED_P99, row_of
from bench.ways import GATEWAY_CHAT, GATEWAY_COMPLETIONS, NGINX

TIMES_ONE = 1.8  # what two workers carry of what one does

TITLES = {
    "chunk": "CPU time per streamed chunk, in µs",
    "json": "CPU time per 0.5 KB JSON request, in µs",
    "ttfc": "Time to first content beyond the direct one, in ms",
    "rss": "Memory per open stream",
    "start": "Start to first 200",
    "chain": "CPU time of the whole chain, in µs",
    "workers": "One worker and two",
    "overload": "Answers when more comes than is let in",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What the gateway is to reach in one figure."""

    subject: str
    row: str
    column: str
    limit: float
    unit: str = ""  # of a figure; none: the limit is on the ratio to the yardstick
    # nginx has no `/api/chat`: its figure for the same upstream stream is the yardstick there.
    yardstick: str = NGINX

    @property
    def bound(self) -> str:
        """The limit as the report shows it."""
        return f"≤ {self.limit:.3g} {self.unit or f'x {self.yardstick.partition(BESIDE)[0]}'}"

    def read(self, results: Results) -> Figure | None:
        """What was reached, if it was measured."""
        ours = results.find(self.subject, self.row, self.column)
        if ours is None or self.unit:
            return ours
        theirs = results.find(self.subject, self.yardstick, self.column)
        return None if theirs is None else ours.over(theirs)


# What takes eight hundredths of the whole: log and metrics, of a chain with both.
WITH_EIGHT_PERCENT = round(1 / (1 - 0.08), 3)

TARGETS = (
    Target("chunk", GATEWAY_COMPLETIONS, "http", 1.6),
    Target("chunk", GATEWAY_COMPLETIONS, "https", 1.6),
    Target("chunk", GATEWAY_CHAT, "http", 2),
    Target("chunk", GATEWAY_CHAT, "https", 2),
    Target("json", GATEWAY_COMPLETIONS, "http", 10),
    Target("json", GATEWAY_COMPLETIONS, "https", 10),
    Target("rss", GATEWAY_COMPLETIONS, "http KiB per stream", 40, "KiB"),
    Target("rss", GATEWAY_COMPLETIONS, "https KiB per stream", 64, "KiB"),
    Target("start", GATEWAY_COMPLETIONS, "seconds", 1, "s"),
    Target("chain", FULL, DOCUMENT, 1.3, yardstick=beside(BARE, FULL)),
    Target("chain", FULL, CHUNK, 1.05, yardstick=beside(BARE, FULL)),
    Target("chain", FULL_REDIS, DOCUMENT, 1.6, yardstick=beside(BARE, FULL_REDIS)),
    Target("chain", HEARD, DOCUMENT, WITH_EIGHT_PERCENT, yardstick=beside(SILENT, HEARD)),
    Target("chain", HEARD, CHUNK, WITH_EIGHT_PERCENT, yardstick=beside(SILENT, HEARD)),
    Target("chain", FULL_KEYS, DOCUMENT, 1.05, yardstick=beside(FULL, FULL_KEYS)),
    Target("chain", FULL_KEYS, CHUNK, 1.05, yardstick=beside(FULL, FULL_KEYS)),
    # 1.8 times as much, seen from the other side.
    Target("workers", ONE, f"{DOCUMENT}, {RATE}", 1 / TIMES_ONE, yardstick=TWO),
    Target("workers", ONE, f"{CHUNK}, {RATE}", 1 / TIMES_ONE, yardstick=TWO),
    # Nine tenths of the answers, seen from the other side.
    Target("overload", row_of(1), ANSWERS, 1.11, yardstick=row_of(8)),
    Target("overload", row_of(8), REFUSED_P99, 50, "ms"),
)


def render_report(results: Results, options: Options, machine: Sequence[tuple[str, str]]) -> str:
    """The whole report as Markdown."""
    parts = ["# Benchmark", render_machine(machine), _describe_sizes(options)]
    for subject in options.only:
        parts += [f"## {TITLES[subject]}", render_subject(results, subject)]
    parts += ["## Targets", render_targets(results), "## Failures", render_failures(results)]
    if results.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results.notes)]
    return "\n\n".join(parts) + "\n"


def render_subject(results: Results, subject: str) -> str:
    """One table, with the systems as rows."""
    rows = results.tables.get(subject, {})
    columns = list(dict.fromkeys(name for cells in rows.values() for name in cells))
    lines = [
        [row, *(cells[name].render() if name in cells else "-" for name in columns)]
        for row, cells in rows.items()
    ]
    return render_table(["", *(_heading(name) for name in columns)], lines)


def render_targets(results: Results) -> str:
    """What was reached of what was aimed at."""
    lines = []
    for target in TARGETS:
        reached = target.read(results)
        if reached is None:
            continue
        is_met = "yes" if reached.median <= target.limit else "no"
        figure = f"{TITLES[target.subject].partition(',')[0]}: {target.row}, {target.column}"
        lines.append([figure, reached.render(), target.bound, is_met])
    if not lines:
        return "Nothing that has a target was measured."
    return render_table(["figure", "reached", "target", "met"], lines)


def render_failures(results: Results) -> str:
    """Every failure by where and why, or that there was none."""
    total = sum(results.failures.values())
    summary = f"{total} failed, {results.exchanges} were complete and right."
    if not total:
        return summary
    lines = [
        [where, reason, str(count)] for (where, reason), count in results.failures.most_common()
    ]
    return summary + "\n\n" + render_table(["where", "why", "how many"], lines)


def render_machine(machine: Sequence[tuple[str, str]]) -> str:
    """What it was measured on."""
    return render_table(["machine", ""], [list(fact) for fact in machine])


def render_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    padded = (
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in (heads, rule, *lines)
    )
    return "\n".join(f"| {line} |" for line in padded)


def _heading(column: str) -> str:
    return f"{column} %" if column.startswith("core busy") else column


def _describe_sizes(options: Options) -> str:
    return (
        f"Median of {options.rounds} alternating rounds of {options.seconds:g} s, "
        "with the smallest and the largest value. "
        f"{options.streams} streams of {options.chunks} chunks, one every 20 ms; "
        "JSON over 16 connections in a closed loop; first content at 100 arrivals a second; "
        f"memory once, at {options.open_streams} streams; {options.starts} starts; "
        f"chains in {options.turns} windows, with {options.keys:,} stored keys in the last row."
    )
