"""What the supervisor knows; how it is shown is in test_reporter."""

from collections.abc import Iterator

import pytest
from typing_extensions import override

from gateway.core.log_numbers import LogNumbers
from gateway.telemetry.board import Board
from gateway.telemetry.numbers import Numbers
from gateway.telemetry.supervision import Supervision, read_account


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

    account = read_account(board)
    assert account is not None
    assert account.numbers[:2] == [
        Numbers("gateway_worker_starts_total", [((), 2)]),
        Numbers("gateway_worker_deaths_total", [((), 1)]),
    ]
    assert account.states == {"0": "starting", "1": "down"}
    assert (board.is_gone(0), board.is_gone(1)) == (False, True)


def test_what_was_said_is_not_said_again(board: Board) -> None:
    """It may be told twice a second for months."""
    supervision = Supervision(board)
    supervision.note_start(0)
    written = board.number_of(board.places)

    supervision.publish()

    assert board.number_of(board.places) == written


def test_lines_that_were_not_written_are_counted(board: Board) -> None:
    """`worker.died` is written by nobody else."""
    log = LogNumbers(dropped=0, sampled=0, withheld=0)
    supervision = Supervision(board, lambda: log)
    supervision.note_start(0)

    log = LogNumbers(dropped=3, sampled=2, withheld=1)
    supervision.publish()

    account = read_account(board)
    assert account is not None
    assert {one.name: one.values[0][1] for one in account.numbers[2:]} == {
        "gateway_log_lines_dropped_total": 3,
        "gateway_log_lines_sampled_total": 2,
        "gateway_log_lines_withheld_total": 1,
        "gateway_log_content_dropped_total": 0,
    }


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
