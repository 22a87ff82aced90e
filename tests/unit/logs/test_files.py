"""Finding, ordering and opening files."""

import gzip
import os
import sys
from pathlib import Path

import pytest

from gateway.logs.files import (
    DAMAGE,
    LogFileError,
    check_readable,
    find_rotated,
    in_order,
    is_compressed,
    is_stream,
    open_log,
    open_stdin,
)
from tests.plugins.log_lines import settled, written


def touch(directory: Path, *names: str) -> list[Path]:
    """Make empty files."""
    paths = [directory / name for name in names]
    for path in paths:
        path.touch()
    return paths


def test_a_file_is_found_with_what_it_was_rotated_to(tmp_path: Path) -> None:
    """Whatever logrotate was told to call them."""
    mine = touch(
        tmp_path,
        "gateway.log",
        "gateway.log.1",
        "gateway.log.10.gz",
        "gateway.log-20261127",
        "gateway.log-20261127-0900.gz",
        "gateway.log-2026-11-26.gz",
        "gateway-20261125.log",
        "gateway-20261124.log.gz",
    )
    touch(tmp_path, "gateway.log.swp", "other.log.1", "gateway.log.1.gz.tmp", "gatewayXlog.1")

    assert set(find_rotated(tmp_path / "gateway.log")) == set(mine)


def test_a_file_that_is_being_compressed_is_found_once(tmp_path: Path) -> None:
    """Both are there until that is done, and one has all of it."""
    mine = touch(tmp_path, "gateway.log", "gateway.log.1")
    touch(tmp_path, "gateway.log.1.gz")

    assert set(find_rotated(tmp_path / "gateway.log")) == set(mine)


def test_what_is_compressed_otherwise_is_not_left_out_in_silence(tmp_path: Path) -> None:
    """A sum would lack it, and nobody would know."""
    touch(tmp_path, "gateway.log", "gateway.log.1", "gateway.log.1.xz", "other.log.2.zst")
    assert len(find_rotated(tmp_path / "gateway.log")) == 2

    touch(tmp_path, "gateway.log.2.zst")
    with pytest.raises(LogFileError, match=r"gateway\.log\.2\.zst is compressed in a way"):
        find_rotated(tmp_path / "gateway.log")


def test_a_directory_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    """The file itself is then what is missing."""
    path = tmp_path / "nowhere" / "gateway.log"

    assert find_rotated(path) == [path]


def test_files_are_read_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    """A shell puts .10 before .2, and the newest first."""
    newest, middle, oldest = (
        tmp_path / name for name in ("gateway.log", "gateway.log.1", "gateway.log.2.gz")
    )
    newest.write_bytes(b"listening\n" + written(settled("2026-11-28T00:00:00.000Z")))
    middle.write_bytes(written(settled("2026-11-27T00:00:00.000Z")))
    oldest.write_bytes(gzip.compress(written(settled("2026-11-26T00:00:00.000Z"))))

    assert in_order([newest, middle, oldest, newest]) == [oldest, middle, newest]


def test_a_file_without_lines_stands_where_it_was_written(tmp_path: Path) -> None:
    """An empty file, or one that is damaged from its beginning, is no reason to stop."""
    empty, damaged, other = touch(tmp_path, "empty", "damaged", "other")
    damaged.write_bytes(b"\x1f\x8b\x08broken")
    other.write_bytes(written(settled("2026-11-28T00:00:00.000Z")))
    os.utime(empty, (1, 1))
    os.utime(damaged, (4_000_000_000, 4_000_000_000))

    assert in_order([other, damaged, empty]) == [empty, other, damaged]


def test_a_compressed_file_is_known_by_its_content(tmp_path: Path) -> None:
    """Some rotate to a name without .gz."""
    path = tmp_path / "gateway.log.1"
    path.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))

    with open_log(path) as source:
        assert b"".join(iter(lambda: source.read1(100), b"")) == b"a\nb\n"


def test_a_compressed_file_is_one_that_nobody_writes_to(tmp_path: Path) -> None:
    """It is read and not followed; one that is not there yet is followed."""
    path = tmp_path / "gateway.log.1"
    path.write_bytes(gzip.compress(b"a\n"))

    assert is_compressed(path)
    assert not is_compressed(tmp_path / "gateway.log")


def test_a_compressed_file_that_is_cut_says_so(tmp_path: Path) -> None:
    """It is read while it is being written, or the disk was full."""
    path = tmp_path / "gateway.log.1.gz"
    path.write_bytes(gzip.compress(os.urandom(4000))[:2000])

    with open_log(path) as source, pytest.raises(DAMAGE):
        list(iter(lambda: source.read1(100), b""))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """One sentence, with the file."""
    with pytest.raises(LogFileError, match=r"nothing\.log is not there"):
        check_readable([tmp_path / "nothing.log"])
    with pytest.raises(LogFileError, match="is a directory"):
        check_readable([tmp_path])
    with pytest.raises(LogFileError, match="cannot be read: file name too long"):
        check_readable([tmp_path / ("x" * 300)])
    (tmp_path / "file").touch()
    with pytest.raises(LogFileError, match="cannot be read: not a directory"):
        check_readable([tmp_path / "file" / "x"])


def test_a_pipe_is_not_looked_into(tmp_path: Path) -> None:
    """`gateway logs <(zcat old.gz) new.log`: what was read of a pipe is gone."""
    pipe, file = tmp_path / "pipe", tmp_path / "gateway.log"
    os.mkfifo(pipe)
    file.touch()

    assert is_stream(pipe)
    assert not is_stream(file)
    check_readable([pipe])  # would wait for a writer
    assert in_order([pipe, file]) == [pipe, file]


def test_standard_input_may_be_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ssh host cat old.gz | gateway logs`."""
    reader, writer = os.pipe()
    os.write(writer, gzip.compress(b"a\n"))
    os.close(writer)
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)

        with open_stdin() as source:
            assert source.read1(100) == b"a\n"
