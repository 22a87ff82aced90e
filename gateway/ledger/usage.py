"""The ledger's sums, as queried by people and rendered for people or programs.

The rule here: money is shown in dollars with exactly six decimals. If something is missing from a
sum, the output says how much.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.core.durations import MS_PER_S
from gateway.core.moments import parse_moment
from gateway.core.money import MICROS_PER_USD
from gateway.stores.ledger import DIMENSIONS, UsageQuery, UsageRow

NUMBERS: Final = (
    "requests",
    "attempts",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_reasoning",
    "cost_usd",
    "provider_cost_usd",
    "estimated",
    "unpriced",
)


class UsageError(ValueError):
    """A query that cannot be answered; the text says how to write it."""


def make_query(by: Iterable[str], since: str | None, until: str | None, now: float) -> UsageQuery:
    """The query; each of `by` is a word or several with commas. UsageError if it is wrong."""
    words = tuple(dict.fromkeys(word for part in by for word in part.split(",") if word))
    for word in words:
        if word not in DIMENSIONS:
            raise UsageError(f"by: needs to be of {', '.join(DIMENSIONS)}")
    since_ms, until_ms = _read_time("since", since, now), _read_time("until", until, now)
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise UsageError("since: has to be before until")
    return UsageQuery(words, since_ms, until_ms)


def render_csv(query: UsageQuery, rows: Sequence[UsageRow]) -> str:
    """A CSV table with a header; values that a spreadsheet would run as formulas become text."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*query.by, *NUMBERS])
    for row in rows:
        writer.writerow([*map(_plain_cell, row.of), *numbers_of(row)])
    return written.getvalue()


def render_json(query: UsageQuery, rows: Sequence[UsageRow]) -> bytes:
    """One JSON object; micros are whole numbers and nothing is rounded."""
    answer = {
        "by": query.by,
        "since": _show_time(query.since_ms),
        "until": _show_time(query.until_ms),
        "usage": list(_objects(query, rows)),
    }
    return msgspec.json.encode(answer)


def numbers_of(row: UsageRow) -> list[str]:
    """The numbers of a row as text, in the order of NUMBERS."""
    return [
        str(row.requests),
        str(row.attempts),
        str(row.tokens_in),
        str(row.tokens_out),
        str(row.tokens_cached),
        str(row.tokens_reasoning),
        show_usd(row.cost_micros),
        show_usd(row.provider_cost_micros),
        str(row.estimated),
        str(row.unpriced),
    ]


def show_usd(micros: int) -> str:
    """Micros as dollars: `12.340000`."""
    sign = "-" if micros < 0 else ""
    dollars, rest = divmod(abs(micros), MICROS_PER_USD)
    return f"{sign}{dollars}.{rest:06}"


def _objects(query: UsageQuery, rows: Iterable[UsageRow]) -> Iterator[dict[str, Any]]:
    for row in rows:
        numbers = msgspec.structs.asdict(row)
        del numbers["of"]
        yield dict(zip(query.by, row.of, strict=True)) | numbers


def _plain_cell(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t"} else text


def _read_time(name: str, text: str | None, now: float) -> int | None:
    """A moment as Unix milliseconds."""
    if not text:
        return None
    try:
        return int(parse_moment(text, now) * MS_PER_S)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def _show_time(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / MS_PER_S, UTC).isoformat().replace("+00:00", "Z")
