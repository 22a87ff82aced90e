"""Copies of a database in use."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.stores.backup import back_up_sqlite
from gateway.stores.errors import StoreError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A database in WAL that somebody has open."""
    file = tmp_path / "source.db"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (n INTEGER)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    return file


def test_a_copy_holds_what_was_confirmed_and_nothing_else(source: Path, tmp_path: Path) -> None:
    """While another process is in the middle of writing."""
    writer = sqlite3.connect(source, isolation_level=None)
    writer.execute("INSERT INTO t VALUES (2)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t VALUES (3)")
    target = tmp_path / "copy.db"

    back_up_sqlite(source, target)

    writer.close()
    copy = sqlite3.connect(target)
    assert copy.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()
    assert target.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.glob("copy*")] == ["copy.db"]


def test_what_is_there_is_not_written_over(source: Path, tmp_path: Path) -> None:
    """It may be the last good copy."""
    target = tmp_path / "copy.db"
    target.write_text("mine")

    with pytest.raises(StoreError, match="File exists"):
        back_up_sqlite(source, target)

    assert target.read_text() == "mine"


def test_nothing_is_left_of_a_copy_that_failed(tmp_path: Path) -> None:
    """A file that looks like a backup and is none is worse than none."""
    source = tmp_path / "source.db"
    source.write_bytes(b"no database" * 100)

    with pytest.raises(StoreError, match="not a database"):
        back_up_sqlite(source, tmp_path / "copy.db")

    assert not (tmp_path / "copy.db").exists()


def test_a_copy_has_its_name_when_it_is_whole(source: Path, tmp_path: Path) -> None:
    """Who was killed half-way left a file of that name, which nobody would try before it counts."""
    writer = sqlite3.connect(source, isolation_level=None)
    writer.execute("PRAGMA journal_mode=DELETE")
    writer.execute("BEGIN EXCLUSIVE")  # whoever copies has to wait
    target = tmp_path / "copy.db"

    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(back_up_sqlite, source, target)
        while not (begun := [*tmp_path.glob("*copy.db*")]):
            assert not copying.done()
        assert target not in begun
        writer.execute("COMMIT")
        copying.result()

    writer.close()
    assert [file.name for file in tmp_path.glob("*copy.db*")] == ["copy.db"]


def test_a_source_that_is_not_there_is_said(tmp_path: Path) -> None:
    """And none is made."""
    with pytest.raises(StoreError, match="nothing to back up"):
        back_up_sqlite(tmp_path / "none.db", tmp_path / "copy.db")

    assert list(tmp_path.iterdir()) == []
