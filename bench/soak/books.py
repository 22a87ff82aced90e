"""The ledger held against what the provider has written down, and the log against both.

The rule here: every exchange that a caller began is in all three, once, and they agree.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.soak.sorts import TOKENS_IN, Sort

USUAL = frozenset({"debug", "info"})  # levels; an exchange has a line of its own
SETTLED = "exchange.settled"
# On a machine that is too busy Redis may answer too late; then counting goes on without it, and
# what was used is told to it afterwards. It is shown, and the books have to be right all the same.
LOST, REGAINED = "counters.redis_lost", "counters.redis_regained"
BANNER = ("listening", "admin", "providers", "credentials", "need none", "try it with", "curl")
SHOWN = 20


@dataclass(slots=True)
class Books:
    """What the three say, by request id or by name."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    served: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    settled: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    redis: Counter[str] = field(default_factory=Counter)  # how often it was lost, and regained
    doubled: int = 0  # rows beyond one for a request


def read_books(database: Path, journal: Path, log: Path) -> Books:
    """Read all of it, once the gateway has ended."""
    books = Books()
    for row in _read_rows(database):
        books.doubled += row["request_id"] in books.rows
        books.rows[row["request_id"]] = row
    with journal.open() as lines:
        for line in lines:
            served = json.loads(line)
            books.served.setdefault(served["name"], []).append(served)
    with log.open() as lines:
        for text in lines:
            _read_line(books, text)
    return books


def find_faults(books: Books, exchanges: Mapping[str, tuple[Sort, str]]) -> Iterator[str]:
    """Everything in which they differ."""
    if books.doubled:
        yield f"{books.doubled} rows too many in the ledger"
    yield from books.unexplained[:SHOWN]
    ids = {request_id for _, request_id in exchanges.values()}
    strangers = books.rows.keys() - ids
    if strangers:
        yield f"{len(strangers)} rows that no caller knows: {sorted(strangers)[:3]}"
    for name, (sort, request_id) in exchanges.items():
        fault = _compare(books, name, sort, request_id)
        if fault:
            yield f"{name} ({sort.name}): {fault}"


def _compare(books: Books, name: str, sort: Sort, request_id: str) -> str:
    row, served = books.rows.get(request_id), books.served.get(name, [])
    if row is None:
        return "is not in the ledger"
    if books.settled[request_id] != 1:
        return f"has {books.settled[request_id]} lines in the log"
    if row["outcome"] != sort.outcome:
        return f"is booked as {row['outcome']} ({row['error_code']})"
    if len(row["attempts"]) != len(served):
        return f"{len(row['attempts'])} attempts are booked, {len(served)} were made"
    return _compare_tokens(row["attempts"][-1], served[-1], sort)


def _compare_tokens(attempt: dict[str, Any], served: dict[str, Any], sort: Sort) -> str:
    booked, sent = attempt["tokens_out"], served["tokens"]
    if sort.outcome == "finished":
        is_right = served["finished"] and (booked, attempt["tokens_in"]) == (sent, TOKENS_IN)
    else:
        is_right = bool(booked) == bool(sent)  # nobody has counted: it is an estimate
    return "" if is_right else f"{booked} tokens are booked, {sent} were sent"


def _read_rows(database: Path) -> list[dict[str, Any]]:
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    try:
        rows = {
            row["id"]: {**row, "attempts": []}
            for row in connection.execute("SELECT * FROM ledger_exchanges")
        }
        for attempt in connection.execute("SELECT * FROM ledger_attempts ORDER BY number"):
            rows[attempt["exchange_id"]]["attempts"].append(dict(attempt))
    finally:
        connection.close()
    return list(rows.values())


def _read_line(books: Books, text: str) -> None:
    if not text.startswith("{"):
        if not _is_banner(text):
            books.unexplained.append(f"in the log: {text.strip()[:300]}")
        return
    line = json.loads(text)
    if line["event"] == SETTLED:
        books.settled[line["request_id"]] += 1
    elif line["event"] in {LOST, REGAINED}:
        books.redis[line["event"]] += 1
    elif line["level"] not in USUAL:
        books.unexplained.append(f"in the log: {text.strip()[:300]}")


def _is_banner(text: str) -> bool:
    return not text.strip() or text.startswith(BANNER)
