"""What the supervisor knows; how it is shown is in test_reporter."""

from collections.abc import Iterator

import pytest
from typing_extensions import override

from gateway.telemetry.board import Board
from gateway.telemetry.numbers import Numbers
from gateway.telemetry.supervision import Account, Supervision, read_account


@pytest.fixture
def board() -> Iterator[Board]:
    """For two workers."""
    made = Board(2)
    yield made
    made.close()


def test_each_change_is_on_the_board_at_once(board: Board) -> None:
    """Whoever is asked next has to show it, and no worker may ever say so itself."""
    assert read_account(board) is None
    supervision = Supervision(board)

    supervision.note_start(0)
    supervision.note_start(1)
    supervision.note_death(1)

    assert read_account(board) == Account(
        [
            Numbers("gateway_worker_starts_total", [((), 2)]),
            Numbers("gateway_worker_deaths_total", [((), 1)]),
        ],
        {"0": "starting", "1": "down"},
    )
    assert (board.is_gone(0), board.is_gone(1)) == (False, True)


def test_what_was_said_is_not_said_again(board: Board) -> None:
    """It may be told twice a second for months."""
    supervision = Supervision(board)
    supervision.note_start(0)
    written = board.number_of(board.places)

    supervision.publish()

    assert board.number_of(board.places) == written


class FullBoard(Board):
    """For which no memory is left."""

    is_full = True

    @override
    def write(self, place: int, report: bytes) -> bool:
        return not self.is_full and super().write(place, report)


def test_what_could_not_be_written_is_written_later() -> None:
    """No memory was left for a moment, and nothing fails for that."""
    full = FullBoard(2)
    supervision = Supervision(full)
    supervision.note_start(0)
    assert read_account(full) is None

    full.is_full = False
    supervision.publish()

    account = read_account(full)
    assert account is not None
    assert account.numbers[0] == Numbers("gateway_worker_starts_total", [((), 1)])
    full.close()
