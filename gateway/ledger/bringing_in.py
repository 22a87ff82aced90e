"""What has ended and is still in journals, brought into the database by whoever wants sums now.

The rule here: journals are only read, and locks are left alone; the gateway that owns a journal
brings the same rows once more, and the store leaves alone what it has.
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
    """Save what has ended by now; OSError where a journal cannot be read, StoreError as ever."""
    for rows in read_ended(parent):
        try:
            await store.save(rows)
        except RowRefusedError:
            await _save_singly(store, rows)


def read_ended(parent: Path) -> Iterator[list[LedgerExchange]]:
    """The ended exchanges in the journals of a directory, a block at a time; none without it."""
    if not parent.is_dir():
        return
    for place in sorted(parent.iterdir()):
        for path in find_segments(place) if is_journal(place) else ():
            with suppress(FileNotFoundError):  # committed and deleted meanwhile
                yield from _read_segment(path)


def _read_segment(path: Path) -> Iterator[list[LedgerExchange]]:
    with closing(Segment.open(path)) as segment:
        while not segment.is_read:
            rows = segment.read()
            if rows is None:  # a line that is being written
                return
            ended = [row for row in rows if isinstance(row, End)]
            if ended:
                yield ended


async def _save_singly(store: LedgerStore, rows: list[LedgerExchange]) -> None:
    for row in rows:
        with suppress(RowRefusedError):  # the gateway that owns it sets it aside, and says so
            await store.save([row])
