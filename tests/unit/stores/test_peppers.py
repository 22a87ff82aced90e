"""Peppers: made once, for their owner alone, and never shown."""

import hashlib
import hmac
import threading
from pathlib import Path

import pytest

from gateway.config.stores import StoresError
from gateway.stores.errors import StoreError
from gateway.stores.peppers import Peppers, read_pepper_file
from gateway.stores.version_file import make_version_file

OLD, NEW = "canary-old-" * 4, "canary-new-" * 4


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with this text."""
    path = tmp_path / "gateway.pepper"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_newest_makes_digests_and_all_find_them() -> None:
    """Ten is newer than nine."""
    peppers = Peppers({10: NEW, 9: OLD})

    assert (peppers.newest, peppers.versions) == (10, {9, 10})
    assert peppers.digest("k") == hmac.digest(NEW.encode(), b"k", hashlib.sha256)
    assert peppers.digests("k") == [peppers.digest("k"), Peppers({9: OLD}).digest("k")]


def test_a_pepper_is_told_from_another_without_being_shown() -> None:
    """Eight bytes of it, under each version."""
    checks = Peppers({1: OLD, 2: NEW}).checks

    assert checks == {**Peppers({1: OLD}).checks, **Peppers({2: NEW}).checks}
    assert checks[1] != checks[2]
    assert {len(check) for check in checks.values()} == {8}


def test_any_text_has_a_digest() -> None:
    """Headers may hold bytes that are not UTF-8 (E03)."""
    assert len(Peppers({1: OLD}).digest("\udcff\udcfe")) == 32


def test_no_pepper_is_shown() -> None:
    """Not by what a log or a debugger prints."""
    assert repr(Peppers({1: OLD, 2: NEW})) == "Peppers([1, 2])"
    with pytest.raises(StoreError):
        Peppers({})


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    """Somebody has cleared it, or a disk was full when it was copied."""
    path = written(tmp_path, "\n")

    with pytest.raises(StoreError, match=r"gateway\.pepper holds no pepper"):
        read_pepper_file(path)


def test_a_pepper_is_made_once_whoever_comes_first(tmp_path: Path) -> None:
    """Workers start at the same time."""
    path = tmp_path / "gateway.pepper"
    threads = [threading.Thread(target=make_version_file, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = path.read_text()

    make_version_file(path)

    assert path.read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.pepper"]
    assert read_pepper_file(path).versions == {1}


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    """That is a rotation: one more line."""
    path = written(tmp_path, f"1:{OLD}\n2:{NEW}\n")

    assert read_pepper_file(path).digest("k") == Peppers({2: NEW}).digest("k")


@pytest.mark.parametrize("text", ["", "canary", f"0:{OLD}", f"1:{OLD}\n1:{NEW}", f"one:{OLD}"])
def test_a_file_that_is_no_pepper_file_is_refused(tmp_path: Path, text: str) -> None:
    """Without quoting it."""
    path = written(tmp_path, text)

    with pytest.raises(StoreError) as refused:
        read_pepper_file(path)

    assert "canary" not in str(refused.value)


def test_a_short_pepper_is_refused(tmp_path: Path) -> None:
    """It could be tried through (E15)."""
    with pytest.raises(StoresError, match="too short"):
        read_pepper_file(written(tmp_path, "1:canary\n"))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_read_is_refused(tmp_path: Path, mode: int) -> None:
    """With the command that mends it."""
    path = written(tmp_path, f"1:{OLD}\n", mode)

    with pytest.raises(StoreError, match="chmod 600"):
        read_pepper_file(path)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """No traceback."""
    with pytest.raises(StoreError, match="cannot be read"):
        read_pepper_file(tmp_path / "none")
    path = written(tmp_path, "")
    path.write_bytes(b"1:\xff\xff")
    with pytest.raises(StoreError, match="not text"):
        read_pepper_file(path)
