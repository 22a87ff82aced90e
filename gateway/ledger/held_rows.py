"""Rows that no file would take, in memory until the database or a file does.

The rule here: their number is bounded, and what there is no room for is counted.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice

from gateway.stores.ledger import LedgerExchange

HELD_ROWS = 10_000  # about 10 MB
TAKEN_ROWS = 500


class HeldRows:
    """A queue with an end."""

    def __init__(self, room: int = HELD_ROWS) -> None:
        # Told of each row that is in the database, by its id.
        self.when_kept: Callable[[str], None] = lambda _: None
        self._rows: deque[LedgerExchange] = deque()
        self._room = room
        self._taken = 0

    def __len__(self) -> int:
        return len(self._rows)

    def hold(self, row: LedgerExchange) -> bool:
        """Keep a row; False when there is no room."""
        if len(self._rows) >= self._room:
            return False
        self._rows.append(row)
        return True

    @property
    def first(self) -> LedgerExchange:
        """The oldest row."""
        return self._rows[0]

    def drop_first(self) -> None:
        """The oldest row is kept elsewhere; not to be called between `take` and `commit`."""
        self._rows.popleft()

    def take(self, most: int = TAKEN_ROWS) -> list[LedgerExchange]:
        """The oldest rows, no more than so many."""
        rows = list(islice(self._rows, most))
        self._taken = len(rows)
        return rows

    def give_back(self) -> None:
        """What was taken could not be brought anywhere."""
        self._taken = 0

    def give_up(self) -> list[LedgerExchange]:
        """All that there are, for which there is no place; none are held after that."""
        rows = list(self._rows)
        self._rows.clear()
        self._taken = 0
        return rows

    def commit(self) -> None:
        """What was taken is where it belongs."""
        for _ in range(self._taken):
            self.when_kept(self._rows.popleft().id)
        self._taken = 0
