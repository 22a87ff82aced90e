"""The summary of a log as people and programs read it.

The rule here: a sum that lacks something says so; times are in milliseconds up to a second.
"""

import io
from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.tables import WIDE
from gateway.ledger.usage import show_usd
from gateway.logs.quantiles import Quantiles
from gateway.logs.reading import Reader
from gateway.logs.summary import SHARES, Sum, Summary
from gateway.telemetry.cleaning import escape_invisible

COUNTS = ("exchanges", "finished", "tokens in", "tokens out", "cost usd")
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
    groups = summary.groups()
    if not groups:
        console.print(f"No exchange in {reader.lines} lines.", highlight=False)
        return
    console.print(f"{summary.first} to {summary.last}", highlight=False)
    counts = _make_table(summary.by, COUNTS)
    times = _make_table((*summary.by, "time"), SHARES)
    errors = _make_table((*summary.by, "error"), ("exchanges", "share"))
    for of, found in groups:
        counts.add_row(*map(_cell, (*of, *_counts(found))))
        for name, field in TIMES.items():
            times.add_row(*map(_cell, (*of, name, *_times(getattr(found, field)))))
        times.add_section()
        for code, count in found.codes.most_common():
            errors.add_row(*map(_cell, (*of, code, str(count), _share(count, found.exchanges))))
        errors.add_section()
    for table in (counts, times, errors):
        if table.row_count:
            console.print(table)


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


def _make_table(names: Iterable[str], numbers: Iterable[str]) -> Table:
    """An empty table; on a narrow terminal names are folded, and numbers stay whole."""
    table = Table()
    for heading in names:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold")
    return table


def _counts(found: Sum) -> tuple[str, ...]:
    unpriced = f" (+ {found.unpriced} unpriced)" if found.unpriced else ""
    return (
        str(found.exchanges),
        _share(found.finished, found.exchanges),
        str(found.tokens_in),
        str(found.tokens_out),
        show_usd(found.cost_micros) + unpriced,
    )


def _cell(text: str) -> Text:
    # As plain text: a square bracket in a name would be read as markup, and a terminal obeys.
    return Text(escape_invisible(text))


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
