"""The summary of a log as people and programs read it.

The rule here: a sum that lacks something says so; times are in milliseconds up to a second.
"""

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.providers import WIDE
from gateway.ledger.usage import show_usd
from gateway.logs.quantiles import Quantiles
from gateway.logs.reading import Reader
from gateway.logs.summary import SHARES, Sum, Summary
from gateway.telemetry.cleaning import escape_invisible

TOP_CODES = 3
QUANTILES = "/".join(SHARES)
COLUMNS = (
    "exchanges",
    "finished",
    f"first content {QUANTILES}",
    f"duration {QUANTILES}",
    f"added {QUANTILES}",
    "tokens in",
    "tokens out",
    "cost usd",
)


def print_summary(summary: Summary, reader: Reader, console: Console | None = None) -> None:
    """Print a table of the groups, and one of the errors."""
    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDE)
    groups = summary.groups()
    if not groups:
        console.print(f"No exchange in {reader.lines} lines.", highlight=False)
        return
    console.print(f"{summary.first} to {summary.last}", highlight=False)
    table = Table()
    for heading in summary.by:
        table.add_column(heading, overflow="fold")
    for heading in COLUMNS:
        table.add_column(heading, justify="right")
    for of, found in groups:
        table.add_row(*map(_cell, (*of, *_numbers(found))))
    console.print(table)
    _print_errors(summary, console)


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


def _print_errors(summary: Summary, console: Console) -> None:
    """How many had which code, in each group."""
    groups = [(of, found) for of, found in summary.groups() if found.codes]
    if not groups:
        return
    table = Table()
    for heading in (*summary.by, "error"):
        table.add_column(heading, overflow="fold")
    for heading in ("exchanges", "share"):
        table.add_column(heading, justify="right")
    for of, found in groups:
        for code, count in found.codes.most_common():
            table.add_row(*map(_cell, (*of, code, str(count), _share(count, found.exchanges))))
    console.print(table)


def _numbers(found: Sum) -> tuple[str, ...]:
    unpriced = f" (+ {found.unpriced} unpriced)" if found.unpriced else ""
    return (
        str(found.exchanges),
        _share(found.finished, found.exchanges),
        _times(found.first_content_s),
        _times(found.duration_s),
        _times(found.added_s),
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


def _times(values: Quantiles) -> str:
    found = [values.at(share) for share in SHARES.values()]
    return " / ".join("-" if at is None else _time(at) for at in found)


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"  # noqa: PLR2004 - no 1e+03
