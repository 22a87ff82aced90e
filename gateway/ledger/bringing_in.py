"""Saving ended exchanges from journals to the database, for somebody who wants sums now.

The rule here: journals are only read, and locks are not touched. The gateway that owns a journal
saves the same rows again, and the store ignores rows that it already has.
"""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from gateway.ledger.places import find_segments, is_journal
from gateway.ledger.records import End
from gateway.ledger.segment import Segment
from gateway.stores.errors import RowRefusedError
from gateway.stores.ledger import LedgerExchange, LedgerStore


async def bring_in(parent: Path, store: LedgerStore) -> None:
    """Save what has ended; OSError if a journal cannot be read, StoreError from the store."""
    for rows in read_ended(parent):
        try:
            await store.save(rows)
        except RowRefusedError:
            await _save_singly(store, rows)


def read_ended(parent: Path) -> Iterator[list[LedgerExchange]]:
    """The ended exchanges in a directory's journals, one block at a time; none if it is missing."""
    if not parent.is_dir():
        return
    for place in sorted(parent.iterdir()):
        for path in find_segments(place) if is_journal(place) else ():
            with suppress(FileNotFoundError):  # committed and deleted in the meantime
                yield from _read_segment(path)


def _read_segment(path: Path) -> Iterator[list[LedgerExchange]]:
    with closing(Segment.open(path)) as segment:
        while not segment.is_read:
            rows = segment.read()
            if rows is None:  # the last line is still being written
                return
            ended = [row for row in rows if isinstance(row, End)]
            if ended:
                yield ended


async def _save_singly(store: LedgerStore, rows: list[LedgerExchange]) -> None:
    for row in rows:
        with suppress(RowRefusedError):  # the gateway that owns it sets it aside and logs it
            await store.save([row])
