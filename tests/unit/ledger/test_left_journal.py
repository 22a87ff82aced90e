"""The journal of a dead process: every row once, and what nobody saw the end of as lost."""

from pathlib import Path

from gateway.core.exchange import Outcome
from gateway.ledger.left_journal import LOST_ROWS
from tests.plugins.ledgers import begun, new_attempt, new_row
from tests.unit.ledger.conftest import (
    OpenJournal,
    find_left,
    kill,
    take_all,
    write_begin,
    write_whole,
)


def test_what_ended_comes_first_and_what_did_not_is_lost(
    open_journal: OpenJournal, tmp_path: Path
) -> None:
    """K02: each exchange once."""
    journal = open_journal(segment_bytes=2_000)
    write_begin(journal, new_row("lost-1"))
    write_whole(journal, *(new_row(f"p-{number}") for number in range(20)))
    write_begin(journal, new_row("lost-2"))
    kill(journal)

    (left,) = find_left(tmp_path)
    found = take_all(left)

    assert [row.id for row in found] == [*(f"p-{n}" for n in range(20)), "lost-1", "lost-2"]
    assert [row.outcome for row in found[20:]] == [Outcome.LOST] * 2
    assert (left.name, left.ended, left.lost, left.damaged) == ("a", 20, 2, 0)
    left.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_last_that_was_written_of_an_exchange_counts(
    open_journal: OpenJournal, tmp_path: Path
) -> None:
    """Of one that was tried twice both attempts are booked."""
    journal = open_journal()
    again = new_row("a", attempts=(new_attempt(1), new_attempt(2, outcome=Outcome.LOST)))
    write_begin(journal, new_row("a", attempts=(new_attempt(1),)))
    write_begin(journal, again)
    kill(journal)

    (left,) = find_left(tmp_path)

    assert take_all(left) == [begun(again).as_lost()]
    left.remove()


def test_a_line_that_was_being_written_is_not_damage(
    open_journal: OpenJournal, tmp_path: Path
) -> None:
    """J14: the exchange before it is there, and the torn one counts as if it had not been."""
    journal = open_journal()
    write_whole(journal, new_row("a"), new_row("b"))
    kill(journal)
    file = next(journal.path.iterdir())
    file.write_bytes(file.read_bytes()[:-10])

    (left,) = find_left(tmp_path)
    found = take_all(left)

    assert [(row.id, row.outcome) for row in found] == [
        ("a", Outcome.FINISHED),
        ("b", Outcome.LOST),
    ]
    assert left.torn_bytes > 0
    assert left.damaged == 0
    left.remove()
    assert list(tmp_path.iterdir()) == []


def test_damage_is_kept_for_a_person(open_journal: OpenJournal, tmp_path: Path) -> None:
    """All that can be read is brought in."""
    journal = open_journal()
    write_whole(journal, new_row("a"), new_row("b"))
    kill(journal)
    file = next(journal.path.iterdir())
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)

    (left,) = find_left(tmp_path)
    found = take_all(left)
    assert left.damaged == 1
    left.remove()

    assert [(row.id, row.outcome) for row in found] == [
        ("a", Outcome.FINISHED),
        ("b", Outcome.LOST),
    ]
    assert (tmp_path / "a.damaged" / file.with_suffix(".damaged").name).exists()
    assert find_left(tmp_path) == []


def test_many_that_are_lost_are_given_in_turns(open_journal: OpenJournal, tmp_path: Path) -> None:
    """Ten thousand streams end with one process."""
    journal = open_journal()
    for number in range(LOST_ROWS + 1):
        write_begin(journal, new_row(f"p-{number}"))
    kill(journal)

    (left,) = find_left(tmp_path)
    sizes = [len(left.take()) for _ in range(3)]

    assert sizes == [LOST_ROWS, 1, 0]
    left.remove()


def test_what_is_let_go_of_is_there_for_the_next(open_journal: OpenJournal, tmp_path: Path) -> None:
    """A gateway may be stopped while it brings in what another has left."""
    journal = open_journal()
    write_whole(journal, new_row("a"))
    kill(journal)
    (left,) = find_left(tmp_path)
    take_all(left)

    left.close()

    (again,) = find_left(tmp_path)
    assert take_all(again) == [new_row("a")]
    again.remove()
