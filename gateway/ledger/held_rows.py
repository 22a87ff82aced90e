"""Rows that could not be written to a file, kept in memory until a file or the database takes them.

The rule here: their number is limited, and rows beyond that are counted.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice

from gateway.stores.ledger import LedgerExchange

HELD_ROWS = 10_000  # about 10 MB
TAKEN_ROWS = 500


class HeldRows:
    """A bounded queue of rows."""

    def __init__(self, room: int = HELD_ROWS) -> None:
        # Called with the id of each row that has been saved to the database.
        self.when_kept: Callable[[str], None] = lambda _: None
        self._rows: deque[LedgerExchange] = deque()
        self._room = room
        self._taken = 0

    def __len__(self) -> int:
        return len(self._rows)

    def hold(self, row: LedgerExchange) -> bool:
        """Keep a row; False if there is no room."""
        if len(self._rows) >= self._room:
            return False
        self._rows.append(row)
        return True

    @property
    def first(self) -> LedgerExchange:
        """The oldest row."""
        return self._rows[0]

    def drop_first(self) -> None:
        """Drop the oldest row, now saved elsewhere; never call it between `take` and `commit`."""
        self._rows.popleft()

    def take(self, most: int = TAKEN_ROWS) -> list[LedgerExchange]:
        """The oldest rows, at most `most`."""
        rows = list(islice(self._rows, most))
        self._taken = len(rows)
        return rows

    def give_back(self) -> None:
        """The rows that were taken could not be saved."""
        self._taken = 0

    def give_up(self) -> list[LedgerExchange]:
        """Return and drop all rows, because nothing will take them."""
        rows = list(self._rows)
        self._rows.clear()
        self._taken = 0
        return rows

    def commit(self) -> None:
        """The rows that were taken are saved: drop them."""
        for _ in range(self._taken):
            self.when_kept(self._rows.popleft().id)
        self._taken = 0
