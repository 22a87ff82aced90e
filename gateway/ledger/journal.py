"""The journal of this process: lines go in at one end and rows come out at the other.

The rule here: what is in the kernel's hands when `begin` or `end` returns survives the process. A
file is deleted when all that has ended in it is committed; what has not is written anew before.
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
FRESH_ROWS = 10_000  # in memory too; reading them from the file would cost 5 µs each
TAKEN_ROWS = 1_000


class _Fresh(msgspec.Struct, gc=False):
    """A row that was not given yet, and where the file is right after it."""

    row: LedgerExchange
    segment: Segment
    end: int


class Journal:
    """An open journal, for one event loop: nothing here waits for the disk."""

    def __init__(
        self, place: Place, *, segment_bytes: int = SEGMENT_BYTES, fresh_rows: int = FRESH_ROWS
    ) -> None:
        self._place = place
        self._segment_bytes = segment_bytes
        self._fresh_rows = fresh_rows
        self._fresh: deque[_Fresh] = deque()
        self._has_all = True  # whether every row that was not given is in `_fresh`
        self._begun: dict[str, tuple[bytes, Segment]] = {}  # what has not ended, and where it is
        self._segments: deque[Segment] = deque()
        self._unsynced: set[Segment] = set()
        self._is_listed = True  # whether the disk knows of every file
        self._committed_bytes = 0  # of the oldest file
        self._is_short = False  # of room, since it began a new file for that
        self.backlog_bytes = 0  # what is written and not committed
        self._number = 0
        self._damaged = 0  # in files that are gone from here
        self._add_segment()

    @property
    def path(self) -> Path:
        """Its directory."""
        return self._place.path

    @property
    def open_count(self) -> int:
        """Exchanges that are written and have not ended."""
        return len(self._begun)

    def count_begun(self, keys: Iterable[str]) -> int:
        """How many of these exchanges are written and have not ended here."""
        return sum(key in self._begun for key in keys)

    @property
    def has_many(self) -> bool:
        """Whether there are as many rows as are taken at a time."""
        return len(self._fresh) >= TAKEN_ROWS

    @property
    def damaged(self) -> int:
        """Lines that could not be read; the files that have them are kept."""
        return self._damaged + sum(segment.damaged for segment in self._segments)

    @property
    def is_synced(self) -> bool:
        """Whether the disk has been told of everything."""
        return not self._unsynced

    @property
    def waiting(self) -> int:
        """Rows that were not given yet; beyond what is in memory they are not counted."""
        return len(self._fresh) if self._has_all else sys.maxsize

    def begin(self, begin: Begin, line: bytes) -> None:
        """Write an exchange before it is sent anything; OSError when it is not written."""
        self._begun[begin.id] = (line, self._append(line))

    def begin_all(self, begins: Sequence[Begin], lines: Sequence[bytes]) -> None:
        """Write several at once; OSError when none of them is written."""
        segment = self._append(b"".join(lines))
        for begin, line in zip(begins, lines, strict=True):
            self._begun[begin.id] = (line, segment)

    def end(self, end: End, line: bytes) -> None:
        """Write its end; OSError when it is not written, and then it counts as under way."""
        segment = self._append(line)
        self._note_end(end, segment, segment.size_bytes)

    def end_all(self, ends: Sequence[End], lines: Sequence[bytes]) -> None:
        """Write several at once; OSError when none of them is written."""
        segment = self._append(b"".join(lines))
        at = segment.size_bytes - sum(map(len, lines))
        for end, line in zip(ends, lines, strict=True):
            at += len(line)
            self._note_end(end, segment, at)

    def forget(self, key: str) -> None:
        """Its end is in the database already, and will not be written here."""
        self._begun.pop(key, None)

    def take(self) -> list[LedgerExchange]:
        """The next rows that were not given yet; none when there are no more for now."""
        if not self._has_all:
            rows = self._take_from_files()
            self._has_all = not rows
            return rows
        taken = [self._fresh.popleft() for _ in range(min(TAKEN_ROWS, len(self._fresh)))]
        self._skip_to(taken[-1] if self._fresh else None)
        return [fresh.row for fresh in taken]

    def commit(self) -> None:
        """All that was taken is where it belongs; files with nothing else in them are deleted."""
        if self._is_short and len(self._segments) == 1 and self._segments[0].is_read:
            self._is_short = False
            self._rotate()  # what fills a small disk may be this file alone
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
            self._skip_to(None)  # what was carried over is no row
        read_bytes = self._segments[0].read_bytes
        self.backlog_bytes -= read_bytes - self._committed_bytes
        self._committed_bytes = read_bytes

    def take_unsynced(self) -> list[int]:
        """Descriptors for a thread to sync and to close; what they stand for counts as synced."""
        descriptors = [os.dup(segment.descriptor) for segment in self._unsynced]
        self._unsynced.clear()
        if not self._is_listed:
            descriptors.append(os.dup(self._place.descriptor))
            self._is_listed = True
        return descriptors

    def close(self) -> None:
        """Let go of it; deleted when nothing is left in it."""
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
        """A row that is written, up to this place of a file."""
        self._begun.pop(end.id, None)
        if not self._has_all:
            return
        if len(self._fresh) < self._fresh_rows:
            self._fresh.append(_Fresh(end, segment, at))
        else:
            self._has_all = False
            self._fresh.clear()

    def _skip_to(self, last: _Fresh | None) -> None:
        """What was given need not be read; None: nothing is left to be read at all."""
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
                    break  # torn: the next line will say so
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
        finally:  # what could not be taken back is there
            self.backlog_bytes += newest.size_bytes - before
        self._unsynced.add(newest)
        return newest

    def _rotate(self) -> Segment:
        """Begin another file; where none is to be had, the one that is there grows on."""
        with contextlib.suppress(OSError):
            self._add_segment()
        return self._segments[-1]

    def _add_segment(self) -> None:
        created = Segment.create(self._place.path / f"{self._number + 1:08}.journal")
        self._number += 1
        self._segments.append(created)
        self._is_listed = False

    def _carry_over(self, oldest: Segment) -> bool:
        """Write what began in a file and has not ended once more; False where that fails."""
        try:
            for key, (line, segment) in self._begun.items():
                if segment is oldest:
                    self._begun[key] = (line, self._append(line))  # keys stay as they are
        except OSError:
            return False
        return True
