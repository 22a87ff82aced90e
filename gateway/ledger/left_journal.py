"""The journal of a dead process.

The rule here: ended exchanges come first, then those without an end, as lost. The journal is
deleted once all of them are committed, and we hold its lock until then.
"""

from gateway.ledger.places import Place
from gateway.ledger.records import Begin
from gateway.ledger.segment import Segment
from gateway.stores.ledger import LedgerExchange

LOST_ROWS = 500  # how many are returned at a time


class UnreadableError(Exception):
    """A dead process's journal cannot be read just now; the text says why."""


class LeftJournal:
    """Reads such a journal once, to its end; UnreadableError if it cannot be read."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._segments: list[Segment] = []
        self._begun: dict[str, Begin] = {}  # as many as were in flight at a time
        self._lost: list[LedgerExchange] | None = None
        self._lost_given = 0
        self.ended = 0  # exchanges that have an end
        self.torn_bytes = 0  # size of an unfinished line at the end of the file
        self._open()

    @property
    def name(self) -> str:
        """The name of the journal's directory."""
        return self._place.path.name

    @property
    def damaged(self) -> int:
        """How many lines could not be read."""
        return sum(segment.damaged for segment in self._segments)

    @property
    def lost(self) -> int:
        """How many exchanges have no end; known once all rows have been taken."""
        return 0 if self._lost is None else len(self._lost)

    def take(self) -> list[LedgerExchange]:
        """The next rows; empty at the end."""
        for segment in self._segments:
            while not segment.is_read:
                ended = self._read(segment)
                if ended:
                    self.ended += len(ended)
                    return ended
        if self._lost is None:
            self._lost = [begin.as_lost() for begin in self._begun.values()]
        given = self._lost_given
        self._lost_given += LOST_ROWS
        return self._lost[given : self._lost_given]

    def commit(self) -> None:
        """All rows taken are saved; nothing to do, as `remove` deletes everything at the end."""

    def remove(self) -> None:
        """Delete it, now that every row is committed; damaged files are kept for a person."""
        for segment in self._segments:
            segment.remove()
        self._place.remove()

    def close(self) -> None:
        """Release it, for whoever comes next."""
        for segment in self._segments:
            segment.close()
        self._place.release()

    def _open(self) -> None:
        try:
            for path in self._place.segments:
                self._segments.append(Segment.open(path))
        except OSError as error:
            self.close()
            raise UnreadableError(error.strerror) from None

    def _read(self, segment: Segment) -> list[LedgerExchange]:
        try:
            rows = segment.read()
        except OSError as error:
            raise UnreadableError(error.strerror) from None
        if rows is None:
            self.torn_bytes += segment.skip_rest()
        ended = []
        for row in rows or ():
            if isinstance(row, Begin):
                self._begun[row.id] = row
            else:
                self._begun.pop(row.id, None)
                ended.append(row)
        return ended
