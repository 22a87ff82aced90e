"""Rows that no file takes."""

from gateway.ledger.held_rows import TAKEN_ROWS, HeldRows
from tests.plugins.ledgers import new_row


def test_there_is_an_end_to_what_is_held() -> None:
    """Memory is not a place for a day's traffic."""
    held = HeldRows(room=2)

    assert [held.hold(new_row(key)) for key in "abc"] == [True, True, False]
    assert len(held) == 2


def test_what_is_taken_is_gone_when_it_is_committed() -> None:
    """And not before; rows that came meanwhile stay."""
    held = HeldRows()
    for key in "ab":
        held.hold(new_row(key))

    assert [row.id for row in held.take()] == ["a", "b"]
    held.hold(new_row("c"))
    held.commit()

    assert [row.id for row in held.take()] == ["c"]
    held.give_back()
    held.commit()
    assert [row.id for row in held.take()] == ["c"]


def test_the_oldest_goes_first() -> None:
    """Into a file, once one takes it."""
    held = HeldRows()
    for number in range(TAKEN_ROWS + 2):
        held.hold(new_row(f"p-{number}"))

    assert held.first.id == "p-0"
    held.drop_first()
    assert held.first.id == "p-1"
    assert len(held.take()) == TAKEN_ROWS


def test_what_is_given_up_is_held_no_more() -> None:
    """Also what was taken when the process was told to end."""
    held = HeldRows()
    for key in "abc":
        held.hold(new_row(key))
    assert [row.id for row in held.take(2)] == ["a", "b"]

    assert [row.id for row in held.give_up()] == ["a", "b", "c"]
    held.commit()
    assert len(held) == 0


def test_each_row_that_is_kept_is_told() -> None:
    """Until then its beginning stays in the journal, so that a stop does not lose it altogether."""
    held = HeldRows()
    kept: list[str] = []
    held.when_kept = kept.append
    for key in "ab":
        held.hold(new_row(key))

    held.take()
    held.give_back()
    held.commit()
    assert kept == []
    held.take()
    held.commit()
    assert kept == ["a", "b"]
