"""Whose journal is whose, when processes live, die and race."""

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from gateway.ledger.places import Place, make_name

LEFT = make_name(1_700_000_000_000, "0123456789ab")

HOLD = """
import sys
from pathlib import Path
from gateway.ledger.places import Place
Place.make(Path(sys.argv[1]), sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""


def names(places: list[Place]) -> list[str]:
    """What they are called; each is let go of."""
    for place in places:
        place.release()
    return [place.path.name for place in places]


def test_a_directory_is_its_owners_alone(tmp_path: Path) -> None:
    """And so is the one above it, when it is made here."""
    place = Place.make(tmp_path / "journals", "a")

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (place.path, place.path.parent)]

    assert modes == [0o700, 0o700]
    place.remove()
    assert list((tmp_path / "journals").iterdir()) == []
    with pytest.raises(OSError, match="Bad file descriptor"):  # I4: it is closed
        os.fstat(place.descriptor)


def test_what_somebody_holds_is_not_left(tmp_path: Path) -> None:
    """Nobody brings in the journal of a process that still writes."""
    own, other = Place.make(tmp_path, "own"), Place.make(tmp_path, LEFT)

    assert list(Place.find_left(tmp_path, own.path)) == []

    other.release()
    assert names(list(Place.find_left(tmp_path, own.path))) == [LEFT]
    own.release()


async def test_a_killed_process_leaves_its_journal(tmp_path: Path) -> None:
    """K02: the kernel lets go of the lock, whatever ended the process."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD, str(tmp_path), LEFT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    await running.stdout.readline()
    assert list(Place.find_left(tmp_path, tmp_path / "own")) == []

    running.kill()
    await running.wait()

    assert names(list(Place.find_left(tmp_path, tmp_path / "own"))) == [LEFT]


def test_of_two_who_find_it_one_has_it(tmp_path: Path) -> None:
    """And who comes later finds nothing, also when it was removed between look and lock."""
    Place.make(tmp_path, LEFT).release()

    (first,) = Place.find_left(tmp_path, tmp_path / "own")

    assert list(Place.find_left(tmp_path, tmp_path / "own")) == []
    first.remove()
    assert list(Place.find_left(tmp_path, tmp_path / "own")) == []


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    """Files, what was set aside for a person, and other things: it may be the root of a disk."""
    parent, elsewhere = tmp_path / "journals", tmp_path / LEFT
    for journal in (parent / "a.damaged", elsewhere):
        journal.mkdir(parents=True)
        (journal / "00000001.journal").write_bytes(b"")
    (parent / "refused.journal").write_text("")
    (parent / LEFT).write_text("")
    (parent / "lost+found").mkdir()
    (parent / "logs" / "old.journal").mkdir(parents=True)
    (parent / "current").symlink_to(elsewhere)

    assert list(Place.find_left(parent, parent / "own")) == []


def test_a_journal_under_another_name_is_one(tmp_path: Path) -> None:
    """Whoever moves one here from another machine may give it a name that says which."""
    (tmp_path / "machine-2").mkdir()
    (tmp_path / "machine-2" / "00000001.journal").write_bytes(b"")

    assert names(list(Place.find_left(tmp_path, tmp_path / "own"))) == ["machine-2"]


def test_a_pipe_is_no_segment(tmp_path: Path) -> None:
    """To open one takes until somebody writes into it, and the loop would stand still."""
    place = Place.make(tmp_path, LEFT)
    os.mkfifo(place.path / "00000001.journal")

    assert place.segments == []
    place.release()


def test_what_is_left_in_it_is_kept(tmp_path: Path) -> None:
    """Under a name that nobody takes for a journal."""
    place = Place.make(tmp_path, "a")
    (place.path / "00000001.damaged").write_text("x")

    place.remove()

    assert (tmp_path / "a.damaged" / "00000001.damaged").read_text() == "x"


def test_a_name_is_given_once(tmp_path: Path) -> None:
    """Two processes never write one file."""
    place = Place.make(tmp_path, "a")

    with pytest.raises(FileExistsError):
        Place.make(tmp_path, "a")

    place.release()
