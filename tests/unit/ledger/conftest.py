"""Journals in a directory of the test's own.

The rule here: a process that dies is a journal whose lock is let go of, as the kernel does it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.ledger.journal import Journal
from gateway.ledger.left_journal import LeftJournal
from gateway.ledger.places import Place
from gateway.ledger.records import encode_line
from gateway.stores.ledger import LedgerExchange
from tests.plugins.ledgers import begun

OPEN_FILES = "/dev/fd"  # also on macOS, where there is no /proc

OpenJournal = Callable[..., Journal]


def write_begin(journal: Journal, row: LedgerExchange) -> None:
    """Write a row before anything is sent."""
    begin = begun(row)
    journal.begin(begin, encode_line(begin))


def write_end(journal: Journal, row: LedgerExchange) -> None:
    """Write a row when it has ended."""
    journal.end(row, encode_line(row))


def write_whole(journal: Journal, *rows: LedgerExchange) -> None:
    """Write rows before and after."""
    for row in rows:
        write_begin(journal, row)
        write_end(journal, row)


def write_together(journal: Journal, *rows: LedgerExchange) -> None:
    """Write rows before, each by itself, and after, all at once."""
    for row in rows:
        write_begin(journal, row)
    journal.end_all(rows, [encode_line(row) for row in rows])


def kill(journal: Journal) -> None:
    """Let go of a journal as the kernel does of a dead process's."""
    os.close(journal._place.descriptor)  # noqa: SLF001 - no process lets go by itself


def take_all(source: Journal | LeftJournal) -> list[LedgerExchange]:
    """Every row that there is now."""
    taken: list[LedgerExchange] = []
    while rows := source.take():
        taken += rows
    return taken


def find_left(parent: Path) -> list[LeftJournal]:
    """The journals of those who are dead."""
    return [LeftJournal(place) for place in Place.find_left(parent, parent / "own")]


def close_below(directory: Path) -> None:
    """Close whatever a test has left open there; no number that is somebody else's by now."""
    for number in os.listdir(OPEN_FILES):  # noqa: PTH208 - names alone
        with suppress(OSError):
            if str(Path(OPEN_FILES, number).readlink()).startswith(f"{directory}/"):
                os.close(int(number))


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[OpenJournal]:
    """Opens journals in one directory."""

    def make(name: str = "a", **sizes: int) -> Journal:
        return Journal(Place.make(tmp_path, name), **sizes)

    yield make
    close_below(tmp_path)
