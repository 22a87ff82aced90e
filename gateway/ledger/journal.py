"""The journal of this process: lines are written to it, and rows of ended exchanges read from it.

The rule here: when `begin` or `end` returns, the kernel has the line, so it survives the process. A
file is deleted once everything that ended in it is committed; beginnings without an end are first
copied to the next file.
"""

import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from gateway.ledger.places import Place
from gateway.ledger.records import Begin, End
from gateway.ledger.segment import Segment
from gateway.stores.ledger import LedgerExchange

SEGMENT_BYTES = 8 * 1024 * 1024
FRESH_ROWS = 10_000  # kept in memory too, as reading them back costs 5 µs each
TAKEN_ROWS = 1_000


class _Fresh(msgspec.Struct, gc=False):
    """A row that has not been taken yet, and the position in its file right after it."""

    row: LedgerExchange
    segment: Segment
    end: int


class Journal:
    """An open journal for one event loop; nothing here waits for the disk."""

    def __init__(
        self, place: Place, *, segment_bytes: int = SEGMENT_BYTES, fresh_rows: int = FRESH_ROWS
    ) -> None:
        self._place = place
        self._segment_bytes = segment_bytes
        self._fresh_rows = fresh_rows
        self._fresh: deque[_Fresh] = deque()
        self._has_all = True  # whether `_fresh` has every row not yet taken
        self._begun: dict[str, tuple[bytes, Segment]] = {}  # begun and not ended: line and file
        self._segments: deque[Segment] = deque()
        self._unsynced: set[Segment] = set()
        self._is_listed = True  # whether the directory has been synced since the last new file
        self._committed_bytes = 0  # how much of the oldest file is committed
        self._is_short = False  # the disk was short of room, and no new file was begun since
        self.backlog_bytes = 0  # written and not yet committed
        self._number = 0
        self._damaged = 0  # lines in files that are no longer open here
        self._add_segment()

    @property
    def path(self) -> Path:
        """Its directory."""
        return self._place.path

    @property
    def open_count(self) -> int:
        """How many exchanges are written and have not ended."""
        return len(self._begun)

    def count_begun(self, keys: Iterable[str]) -> int:
        """How many of these exchanges have begun in this journal and not ended in it."""
        return sum(key in self._begun for key in keys)

    @property
    def has_many(self) -> bool:
        """Whether there are enough rows for a full `take`."""
        return len(self._fresh) >= TAKEN_ROWS

    @property
    def damaged(self) -> int:
        """How many lines could not be read; their files are kept."""
        return self._damaged + sum(segment.damaged for segment in self._segments)

    @property
    def is_synced(self) -> bool:
        """Whether everything has been handed over for syncing to disk."""
        return not self._unsynced

    @property
    def waiting(self) -> int:
        """How many rows have not been taken yet; `sys.maxsize` if some are only in files."""
        return len(self._fresh) if self._has_all else sys.maxsize

    def begin(self, begin: Begin, line: bytes) -> None:
        """Write the beginning of an exchange before anything is sent; OSError if that fails."""
        self._begun[begin.id] = (line, self._append(line))

    def begin_all(self, begins: Sequence[Begin], lines: Sequence[bytes]) -> None:
        """Write several beginnings at once; OSError if none of them is written."""
        segment = self._append(b"".join(lines))
        for begin, line in zip(begins, lines, strict=True):
            self._begun[begin.id] = (line, segment)

    def end(self, end: End, line: bytes) -> None:
        """Write its end; OSError if that fails, and then it still counts as not ended."""
        segment = self._append(line)
        self._note_end(end, segment, segment.size_bytes)

    def end_all(self, ends: Sequence[End], lines: Sequence[bytes]) -> None:
        """Write several ends at once; OSError if none of them is written."""
        segment = self._append(b"".join(lines))
        at = segment.size_bytes - sum(map(len, lines))
        for end, line in zip(ends, lines, strict=True):
            at += len(line)
            self._note_end(end, segment, at)

    def forget(self, key: str) -> None:
        """Forget an exchange whose end is already in the database and will not be written here."""
        self._begun.pop(key, None)

    def take(self) -> list[LedgerExchange]:
        """The next rows that have not been taken; empty if there are no more for now."""
        if not self._has_all:
            rows = self._take_from_files()
            self._has_all = not rows
            return rows
        taken = [self._fresh.popleft() for _ in range(min(TAKEN_ROWS, len(self._fresh)))]
        self._skip_to(taken[-1] if self._fresh else None)
        return [fresh.row for fresh in taken]

    def commit(self) -> None:
        """All rows taken are saved; delete the files that have nothing else in them."""
        if self._is_short and len(self._segments) == 1 and self._segments[0].is_read:
            self._is_short = False
            self._rotate()  # this very file may be what fills a small disk
        while len(self._segments) > 1 and self._segments[0].is_read:
            oldest = self._segments[0]
            if not self._carry_over(oldest):
                break  # the next commit tries again
            self._segments.popleft()
            self._unsynced.discard(oldest)
            self.backlog_bytes -= oldest.size_bytes - self._committed_bytes
            self._committed_bytes = 0
            self._damaged += oldest.damaged
            oldest.remove()
        if self._has_all and not self._fresh:
            self._skip_to(None)  # lines that were carried over are not rows
        read_bytes = self._segments[0].read_bytes
        self.backlog_bytes -= read_bytes - self._committed_bytes
        self._committed_bytes = read_bytes

    def take_unsynced(self) -> list[int]:
        """Descriptors for a thread to sync and close; their contents count as synced from now."""
        descriptors = [os.dup(segment.descriptor) for segment in self._unsynced]
        self._unsynced.clear()
        if not self._is_listed:
            descriptors.append(os.dup(self._place.descriptor))
            self._is_listed = True
        return descriptors

    def close(self) -> None:
        """Close it, and delete it if nothing is left in it."""
        is_done = not self._begun and not self.backlog_bytes
        for segment in self._segments:
            if is_done:
                segment.remove()
            else:
                segment.close()
        if is_done:
            self._place.remove()
        else:
            self._place.release()

    def _note_end(self, end: End, segment: Segment, at: int) -> None:
        """Note a row that is written and ends at this position of its file."""
        self._begun.pop(end.id, None)
        if not self._has_all:
            return
        if len(self._fresh) < self._fresh_rows:
            self._fresh.append(_Fresh(end, segment, at))
        else:
            self._has_all = False
            self._fresh.clear()

    def _skip_to(self, last: _Fresh | None) -> None:
        """Mark rows up to `last` as read; None marks everything as read."""
        for segment in self._segments:
            if last is not None and segment is last.segment:
                segment.read_bytes = last.end
                return
            segment.skip_rest()

    def _take_from_files(self) -> list[LedgerExchange]:
        for segment in list(self._segments):
            while not segment.is_read:
                rows = segment.read()
                if rows is None and segment is self._segments[-1]:
                    break  # torn: counted once another line follows
                if rows is None:
                    segment.skip_rest()
                    segment.damaged += 1
                ended = [row for row in rows or () if isinstance(row, End)]
                if ended:
                    return ended
        return []

    def _append(self, line: bytes) -> Segment:
        newest = self._segments[-1]
        if newest.size_bytes >= self._segment_bytes:
            newest = self._rotate()
        before = newest.size_bytes
        try:
            newest.append(line)
        except OSError:
            self._is_short = True
            raise
        finally:  # a torn line that could not be removed counts too
            self.backlog_bytes += newest.size_bytes - before
        self._unsynced.add(newest)
        return newest

    def _rotate(self) -> Segment:
        """Begin another file; if that fails, the current one goes on growing."""
        with contextlib.suppress(OSError):
            self._add_segment()
        return self._segments[-1]

    def _add_segment(self) -> None:
        created = Segment.create(self._place.path / f"{self._number + 1:08}.journal")
        self._number += 1
        self._segments.append(created)
        self._is_listed = False

    def _carry_over(self, oldest: Segment) -> bool:
        """Write the unfinished beginnings of a file again into the newest; False if that fails."""
        try:
            for key, (line, segment) in self._begun.items():
                if segment is oldest:
                    self._begun[key] = (line, self._append(line))  # no new keys: safe
        except OSError:
            return False
        return True
