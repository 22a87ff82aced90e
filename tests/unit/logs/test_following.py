"""Files that are written to while somebody looks.

The rule here: what happens between two looks is done in the wait between them.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.logs.following import LEAVE_AFTER, LOOK_EVERY_S, Tail, follow, wait_a_little

MORE_THAN_A_BEGINNING = b"-" * 80


class EndedError(Exception):
    """Nothing more happens."""


def watch(
    path: Path, *happenings: Callable[[], object], last_bytes: int | None = None
) -> tuple[list[list[bytes]], list[str]]:
    """Follow a file through what happens to it; the lines of each look, and what was said."""
    said: list[str] = []
    waits = iter(happenings)
    looks: list[list[bytes]] = [[]]

    def wait() -> None:
        happening = next(waits, None)
        if happening is None:
            raise EndedError
        looks.append([])
        happening()

    tail = Tail(path, last_bytes=last_bytes, say=said.append)
    try:
        for batch in follow([tail], wait):
            looks[-1] += batch or []
    except EndedError:
        return looks, said
    raise AssertionError("it ended by itself")


def append(path: Path, text: bytes) -> Callable[[], object]:
    """Write more."""

    def write() -> None:
        with path.open("ab") as file:
            file.write(text)

    return write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a log with a line."""
    log = tmp_path / "gateway.log"
    log.write_bytes(b"one" + MORE_THAN_A_BEGINNING + b"\n")
    return log


@pytest.fixture(autouse=True)
def no_file_stays_open() -> Iterator[None]:
    """Following for a month must not use up the files."""
    before = open_files()
    yield
    assert open_files() == before


def open_files() -> int:
    """Count the files of this process, where the system tells."""
    directory = Path("/proc/self/fd")
    return len(list(directory.iterdir())) if directory.exists() else 0


def first_words(looks: list[list[bytes]]) -> list[list[bytes]]:
    """Give what distinguishes the lines."""
    return [[line.strip(b"-") for line in look] for look in looks]


def test_lines_come_as_they_are_written(path: Path) -> None:
    """Half a line waits for its other half."""
    looks, _ = watch(path, append(path, b"two\nthr"), append(path, b"ee\n"), lambda: None)

    assert first_words(looks) == [[b"one"], [b"two"], [b"three"], []]


def test_a_renamed_file_is_read_to_its_end(path: Path) -> None:
    """The gateway goes on writing to it until it is told of the new one."""
    old = path.with_suffix(".log.1")

    def rotate() -> None:
        append(path, b"two\n")()
        path.rename(old)
        path.write_bytes(b"three\n")

    looks, said = watch(path, rotate, append(old, b"late\n"), append(path, b"four\n"))

    assert first_words(looks) == [[b"one"], [b"two", b"three"], [b"late"], [b"four"]]
    assert said == []


def test_a_renamed_file_is_let_go_when_nobody_writes_to_it(path: Path) -> None:
    """With its last line, if nothing ended it."""

    def rotate() -> None:
        append(path, b"cut")()
        path.rename(path.with_suffix(".log.1"))
        path.write_bytes(b"")

    looks, _ = watch(path, rotate, *[lambda: None] * (LEAVE_AFTER + 1))

    assert looks[-1] == [b"cut"]
    assert sum(map(len, looks)) == 2


def test_a_file_that_is_not_there_between_two_is_waited_for(path: Path) -> None:
    """Renamed now, made by the next line that is written."""
    looks, said = watch(
        path,
        lambda: path.rename(path.with_suffix(".log.1")),
        lambda: None,
        lambda: path.write_bytes(b"two\n"),
    )

    assert first_words(looks) == [[b"one"], [], [], [b"two"]]
    assert len(said) == 1
    assert "waiting for it" in said[0]


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """Somebody made one before the log was there; a file may still take its place."""
    said: list[str] = []
    tail = Tail(tmp_path, last_bytes=None, say=said.append)

    assert list(tail.read()) == list(tail.read()) == []
    assert said == [f"{tmp_path} is no file; waiting for one."]


def test_a_file_may_come_later(tmp_path: Path) -> None:
    """`gateway logs -f` is often there before the gateway."""
    path = tmp_path / "gateway.log"

    looks, said = watch(path, lambda: path.write_bytes(b"one\n"))

    assert looks == [[], [b"one"]]
    assert "No such file" in said[0]


def test_an_emptied_file_is_read_from_its_beginning(path: Path) -> None:
    """Logrotate's `copytruncate`."""

    def empty() -> None:
        os.truncate(path, 0)
        append(path, b"two\n")()

    looks, _ = watch(path, empty, append(path, b"three\n"))

    assert first_words(looks) == [[b"one"], [b"two"], [b"three"]]


def test_a_file_that_was_emptied_and_outgrew_itself_is_noticed(path: Path) -> None:
    """Between two looks a busy gateway writes more than there was; size alone tells nothing."""

    def empty() -> None:
        os.truncate(path, 0)
        append(path, b"two" + MORE_THAN_A_BEGINNING * 9 + b"\nthree\n")()

    looks, _ = watch(path, empty)

    assert first_words(looks) == [[b"one"], [b"two", b"three"]]


def test_a_short_file_that_was_filled_anew_is_noticed(tmp_path: Path) -> None:
    """Also one of which there is less than a beginning."""
    path = tmp_path / "gateway.log"
    path.write_bytes(b"a\n")

    looks, _ = watch(path, append(path, b"b\n"), lambda: path.write_bytes(b"c\nd\ne\n"))

    assert looks == [[b"a"], [b"b"], [b"c", b"d", b"e"]]


def test_a_writer_without_append_leaves_a_hole(path: Path) -> None:
    """`>` in place of `>>`: after `copytruncate` it writes on where it was."""
    size = path.stat().st_size

    def empty() -> None:
        os.truncate(path, 0)
        with path.open("r+b") as file:
            file.seek(size)
            file.write(b"two\n")

    looks, _ = watch(path, empty)

    assert first_words(looks) == [[b"one"], [b"two"]]


def test_of_a_long_file_only_the_end_is_read(path: Path) -> None:
    """Its last lines are wanted, not two gigabytes."""
    path.write_bytes(b"one\ntwo\nthree\nfour\n")

    assert watch(path, last_bytes=11)[0] == [[b"three", b"four"]]
    assert watch(path, last_bytes=10)[0] == [[b"four"]]
    assert watch(path, last_bytes=1000)[0] == [[b"one", b"two", b"three", b"four"]]


def test_what_comes_after_a_rotation_is_new_from_its_beginning(path: Path) -> None:
    """Only of the first file the end was wanted."""

    def rotate() -> None:
        path.rename(path.with_suffix(".log.1"))
        path.write_bytes(b"two\nthree\n")

    looks, _ = watch(path, rotate, last_bytes=1)

    assert looks == [[], [b"two", b"three"]]


def test_a_file_that_comes_back_is_not_read_twice(path: Path) -> None:
    """Somebody renamed it by mistake, and back."""
    looks, _ = watch(
        path,
        lambda: path.rename(path.with_suffix(".log.1")),
        lambda: path.with_suffix(".log.1").rename(path),
        append(path, b"two\n"),
    )

    assert first_words(looks) == [[b"one"], [], [], [b"two"]]


def test_looking_is_paused() -> None:
    """Not a loop that takes a core."""
    begun_at = time.monotonic()

    wait_a_little()

    assert time.monotonic() - begun_at >= LOOK_EVERY_S / 2
