"""The journal of a process that is dead.

The rule here: everything that ended is given first, then what did not, as lost. It is deleted when
all of that is committed, and until then nobody else has its lock.
"""

from gateway.ledger.places import Place
from gateway.ledger.records import Begin
from gateway.ledger.segment import Segment
from gateway.stores.ledger import LedgerExchange

LOST_ROWS = 500  # given at a time


class UnreadableError(Exception):
    """What a dead process has left cannot be read just now; the text says why."""


class LeftJournal:
    """A journal to be read to its end, once; UnreadableError when that cannot be."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._segments: list[Segment] = []
        self._begun: dict[str, Begin] = {}  # no more than were under way at a time
        self._lost: list[LedgerExchange] | None = None
        self._lost_given = 0
        self.ended = 0  # exchanges whose end was there
        self.torn_bytes = 0  # at the end: a line that was being written
        self._open()

    @property
    def name(self) -> str:
        """What its process called itself."""
        return self._place.path.name

    @property
    def damaged(self) -> int:
        """Lines that could not be read."""
        return sum(segment.damaged for segment in self._segments)

    @property
    def lost(self) -> int:
        """Exchanges whose end was not there; known when all rows were taken."""
        return 0 if self._lost is None else len(self._lost)

    def take(self) -> list[LedgerExchange]:
        """The next rows; none at the end."""
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
        """All that was taken is where it belongs."""

    def remove(self) -> None:
        """Delete it, now that every row is committed; what is damaged is kept for a person."""
        for segment in self._segments:
            segment.remove()
        self._place.remove()

    def close(self) -> None:
        """Let go of it; it is there for whoever comes next."""
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
