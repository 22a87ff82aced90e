"""Memory that several processes have."""

import os
from collections.abc import Iterator

import pytest

from gateway.telemetry import board as module
from gateway.telemetry.board import MAX_BYTES, Board
from tests.plugins.bookings import allow_file_bytes, files_grow


@pytest.fixture
def board() -> Iterator[Board]:
    """For two workers."""
    made = Board(2)
    yield made
    made.close()


def test_a_report_is_read_by_others(board: Board) -> None:
    """Each place has its own."""
    assert board.read(0) is None

    board.write(0, b"first")
    board.write(1, b"other")
    board.write(0, b"second, longer")

    assert (board.read(0), board.read(1)) == (b"second, longer", b"other")
    board.write(0, b"3")
    assert board.read(0) == b"3"


def test_a_kill_in_the_middle_leaves_the_report_before(board: Board) -> None:
    """K02: what was shown once stays counted."""
    board.write(0, b"first")
    board.write(0, b"second")

    # The next one goes where the first was; its head is written last.
    half = module.FLAG + 1 * module.HALF
    os.pwrite(board.file, b"thi", half + module.HEAD.size)

    assert board.read(0) == b"second"
    os.pwrite(board.file, module.HEAD.pack(3, 5, 0), half)
    assert board.read(0) == b"second"


def test_memory_that_ends_in_the_middle_of_a_report_leaves_the_one_before(board: Board) -> None:
    """The kernel takes what there is room for, and says so with a number alone."""
    board.write(0, b"first")
    board.write(0, b"second")

    allow_file_bytes(module.FLAG + module.HALF + module.HEAD.size + 3)
    try:
        assert [board.write(0, b"third") for _ in range(3)] == [False] * 3
        assert board.read(0) == b"second"
    finally:
        files_grow()
    assert board.write(0, b"fourth")
    assert board.read(0) == b"fourth"


def test_whoever_died_is_marked_until_somebody_writes_there(board: Board) -> None:
    """Its gauges are shown no longer."""
    board.write(0, b"first")
    assert not board.is_gone(0)

    board.mark_gone(0)

    assert board.is_gone(0)
    assert not board.is_gone(1)
    assert board.read(0) == b"first"
    board.write(0, b"next")
    assert not board.is_gone(0)


def test_a_report_that_is_too_large_is_not_written(board: Board) -> None:
    """It would be over somebody else's."""
    board.write(0, b"first")

    assert not board.write(0, bytes(MAX_BYTES + 1))

    assert board.read(0) == b"first"


def test_without_memory_nothing_is_written_and_nobody_fails() -> None:
    """Numbers are not worth a request."""
    board = Board(1)
    board.close()

    assert not board.write(0, b"first")


def test_an_empty_place_takes_no_memory(board: Board) -> None:
    """Room for the largest report is not memory that is used."""
    board.write(1, b"x" * 10_000)

    assert os.fstat(board.file).st_blocks * 512 < 100_000


def test_beats_are_counted_beside_the_reports(board: Board) -> None:
    """K08: a worker whose reports do not fit any more is alive all the same."""
    assert (board.count_beats(0), board.count_beats(1)) == (0, 0)
    board.write(0, b"first")
    board.await_beats(0)
    assert board.count_beats(0) == 0

    board.beat(0, 7)
    board.mark_gone(0)
    board.write(0, b"next")

    assert (board.count_beats(0), board.read(0)) == (7, b"next")
    board.await_beats(0)
    assert board.count_beats(0) == 0
