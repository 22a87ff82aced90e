"""A file of secrets by version; more of it is tested by its users (`test_peppers`)."""

import errno
import os
from pathlib import Path

import pytest

from gateway.stores.errors import StoreError
from gateway.stores.version_file import ensure_version_file, make_version_file, read_versions
from tests.plugins.bookings import files_grow, no_file_grows


def test_what_was_made_can_be_read(tmp_path: Path) -> None:
    """64 digits, for its owner alone; and the second making changes nothing."""
    path = tmp_path / "file"
    make_version_file(path)
    first = path.read_text()
    make_version_file(path)
    seen: list[tuple[str, str]] = []

    found = read_versions(path, "key", lambda *what: seen.append(what))

    assert list(found) == [1]
    assert len(found[1]) == 64
    assert seen == [(found[1], f"{path}:1")]
    assert path.read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    """And not with what stands there."""
    path = tmp_path / "file"
    path.write_text("1:canary\ncanary\n")
    path.chmod(0o600)

    with pytest.raises(StoreError, match=r"file:2: needs to be <version>:<key>") as refused:
        read_versions(path, "key", lambda *_: None)

    assert "canary" not in str(refused.value)


def test_what_was_lost_is_not_made_anew(tmp_path: Path) -> None:
    """A new secret in its place would hide what has happened."""
    path = tmp_path / "file"

    with pytest.raises(StoreError, match="file is not there, and keys need it"):
        ensure_version_file(path, "keys need it")
    assert not path.exists()

    ensure_version_file(path, None)
    made = path.read_text()
    ensure_version_file(path, "keys need it")
    assert path.read_text() == made


def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    """In a sentence, and nothing is left that looks like a secret."""
    no_file_grows()
    try:
        with pytest.raises(StoreError, match=r"file: cannot be made: File too large$"):
            ensure_version_file(tmp_path / "file", None)
    finally:
        files_grow()

    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_links_has_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory cards and shared folders; none of them is here to be mounted."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "file"

    make_version_file(path)
    first = path.read_text()
    make_version_file(path)

    assert (path.read_text(), len(first)) == (first, len("1:") + 64 + len("\n"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
