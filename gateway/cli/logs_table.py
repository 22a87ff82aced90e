"""The summary of a log as people and programs read it.

The rule here: a sum that lacks something says so; times are in milliseconds up to a second. Numbers
are shown whole, and whose they are: where a terminal has no room for a table each row is a list.
"""

import io
from collections.abc import Sequence

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from gateway.cli.tables import FRAME_WIDTH, WIDE, add_row, print_list
from gateway.ledger.usage import show_usd
from gateway.logs.quantiles import Quantiles
from gateway.logs.reading import Reader
from gateway.logs.summary import SHARES, Sum, Summary
from gateway.telemetry.cleaning import escape_invisible

NAME_WIDTH = 7  # to which longer names are folded
COUNTS: tuple[str, ...] = ("exchanges", "finished", "tokens in", "tokens out", "cost usd")
Sections = Sequence[Sequence[tuple[str, ...]]]
TIMES = {
    "to first content": "first_content_s",
    "in all": "duration_s",
    "added by the gateway": "added_s",
}


def draw_summary(summary: Summary, reader: Reader, console: Console | None = None) -> str:
    """Three tables: how many, how long, and with which errors; without the last line's end.

    As a text, because rich ends the program where nobody reads on. `console` is where it is shown.
    """
    shown = Console() if console is None else console
    width = shown.width if console is not None or shown.is_terminal else WIDE
    text = io.StringIO()
    _draw(summary, reader, Console(file=text, width=width, force_terminal=shown.is_terminal))
    return text.getvalue().removesuffix("\n")


def _draw(summary: Summary, reader: Reader, console: Console) -> None:
    groups = [(tuple(map(escape_invisible, of)), found) for of, found in summary.groups()]
    if not groups:
        console.print(f"No exchange in {reader.lines} lines.", highlight=False)
        return
    console.print(f"{summary.first} to {summary.last}", highlight=False)
    headings = COUNTS
    counts = [(*of, *_counts(found)) for of, found in groups]
    if _width(summary.by, headings, [counts]) > console.width:
        headings = tuple(heading.replace(" ", "\n") for heading in COUNTS)
        counts = [(*of, *_counts(found, "\n+ {} unpriced")) for of, found in groups]
    times = [
        [(*of, name, *_times(getattr(found, field))) for name, field in TIMES.items()]
        for of, found in groups
    ]
    errors = [
        [
            (*of, escape_invisible(code), str(count), _share(count, found.exchanges))
            for code, count in found.codes.most_common()
        ]
        for of, found in groups
    ]
    _print(console, summary.by, headings, [counts])
    _print(console, (*summary.by, "time"), tuple(SHARES), times)
    _print(console, (*summary.by, "error"), ("exchanges", "share"), errors)


def render_summary(summary: Summary, reader: Reader) -> str:
    """One object; money in millionths of a dollar, times in seconds."""
    answer = {
        "lines": reader.lines,
        "foreign": reader.foreign,
        "first": summary.first or None,
        "last": summary.last or None,
        "by": summary.by,
        "groups": [
            dict(zip(summary.by, of, strict=True)) | found.as_object()
            for of, found in summary.groups()
        ],
    }
    return msgspec.json.encode(answer).decode()


def _print(
    console: Console, names: Sequence[str], numbers: Sequence[str], sections: Sections
) -> None:
    """A table, if there is anything in it; a list of each row where that is too wide."""
    rows = [row for section in sections for row in section]
    if not rows:
        return
    if _width(names, numbers, sections) > console.width:
        for row in rows:
            flat = (text.replace("\n", " ") for text in row)
            headings = (text.replace("\n", " ") for text in (*names, *numbers))
            print_list(console, zip(headings, flat, strict=True))
        return
    table = Table()
    for heading in names:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for section in sections:
        for row in section:
            add_row(table, row)
        table.add_section()
    console.print(table)


def _width(names: Sequence[str], numbers: Sequence[str], sections: Sections) -> int:
    """How wide a table has to be, with names folded."""
    rows = [(*names, *numbers), *(row for section in sections for row in section)]
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n"))
        for column in zip(*rows, strict=True)
    ]
    widths[: len(names)] = [min(width, NAME_WIDTH) for width in widths[: len(names)]]
    return 1 + sum(width + FRAME_WIDTH for width in widths)


def _counts(found: Sum, unpriced: str = " (+ {} unpriced)") -> tuple[str, ...]:
    return (
        str(found.exchanges),
        _share(found.finished, found.exchanges),
        str(found.tokens_in),
        str(found.tokens_out),
        show_usd(found.cost_micros) + (unpriced.format(found.unpriced) if found.unpriced else ""),
    )


def _share(part: int, whole: int) -> str:
    """A share in percent; never 100 where something is missing, never 0 where there is some."""
    shown = f"{100 * part / whole:.1f}"
    if shown == "100.0" and part < whole:
        shown = "99.9"
    if shown == "0.0" and part:
        shown = "0.1"
    return f"{shown} %"


def _times(values: Quantiles) -> list[str]:
    found = [values.at(share) for share in SHARES.values()]
    return ["-" if at is None else _time(at) for at in found]


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"  # noqa: PLR2004 - no 1e+03
