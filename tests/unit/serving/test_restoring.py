"""An admin reaches one worker, and means all of them."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from gateway.core.credential import Credential, CredentialState
from gateway.credentials.pools import Pools
from gateway.serving.restoring import KEPT, Restorer
from gateway.telemetry.board import Board
from gateway.telemetry.standings import merge_credentials

NAMES = ("A", "B")


@pytest.fixture
def board() -> Iterator[Board]:
    """For two workers."""
    made = Board(2)
    yield made
    made.close()


class Worker:
    """One of them, that knows of the other."""

    def __init__(self, place: int, board: Board | None, *others: "Worker") -> None:
        credentials = [Credential(name, SecretStr(f"sk-{name}")) for name in NAMES]
        self.pools = Pools({"groq": credentials})
        known = [*others, self]
        self.restorer = Restorer(
            self.pools,
            lambda: merge_credentials(
                {str(number): list(one.pools.standings()) for number, one in enumerate(known)}
            ),
            place,
        )
        if board is not None:
            self.restorer.join(board)

    def break_all(self) -> None:
        """Have the provider accept none of them, as far as this worker knows."""
        for slot in self.pools._pools["groq"].slots:  # noqa: SLF001 - no request is made here
            slot.state = CredentialState.SET_ASIDE

    @property
    def well(self) -> list[str]:
        """Those that it uses."""
        return [one.id for one in self.pools.standings() if one.state is CredentialState.OK]


def test_what_one_is_told_the_others_do_at_their_next_look(board: Board) -> None:
    """And the answer names what was ill in any of them."""
    second = Worker(1, board)
    first = Worker(0, board, second)
    second.break_all()

    assert first.restorer.restore("groq", "A") == ["A"]
    assert second.well == []
    second.restorer.look()
    assert second.well == ["A"]

    assert first.restorer.restore("groq", None) == ["B"]
    second.restorer.look()
    assert second.well == ["A", "B"]


def test_an_order_is_carried_out_once(board: Board) -> None:
    """What is found out afterwards is news."""
    first, second = Worker(0, board), Worker(1, board)
    first.restorer.restore("groq", None)
    second.restorer.look()
    second.break_all()

    second.restorer.look()
    assert second.well == []

    first.restorer.restore("groq", "B")
    second.restorer.look()
    assert second.well == ["B"]


def test_a_worker_that_comes_later_does_not_look_back(board: Board) -> None:
    """It began with all of them well."""
    Worker(0, board).restorer.restore("groq", None)
    second = Worker(1, board)
    second.break_all()

    second.restorer.look()

    assert second.well == []


def test_a_successor_goes_on_with_the_numbers(board: Board) -> None:
    """Otherwise its orders would be taken for old ones."""
    second = Worker(1, board)
    for _ in range(KEPT + 2):
        Worker(0, board).restorer.restore("groq", "A")
        second.break_all()
        second.restorer.look()

        assert second.well == ["A"]


def test_alone_there_is_nobody_to_tell() -> None:
    """And who is not there cannot be restored."""
    only = Worker(0, None)
    only.break_all()

    only.restorer.look()
    assert only.restorer.restore("nobody", None) is None
    assert only.restorer.restore("groq", "C") is None
    assert only.restorer.restore("groq", None) == ["A", "B"]
    assert only.well == ["A", "B"]
