"""Encryption keys: found by their version, and never shown."""

from pathlib import Path

import pytest

from gateway.config.stores import StoresError
from gateway.stores.encryption_keys import (
    EncryptionKeys,
    MissingKeyError,
    check_of,
    read_encryption_key_file,
)
from gateway.stores.errors import StoreError
from gateway.stores.version_file import make_version_file
from tests.plugins.stored_credentials import encryption_key, keys_of


def test_the_newest_seals_and_all_are_found() -> None:
    """Ten is newer than nine; hexadecimal and base64 are both taken."""
    keys = EncryptionKeys({10: encryption_key(2), 9: encryption_key(1)}, "here")

    assert (keys.newest, keys.versions) == (10, {9, 10})
    assert len(keys.find(9, check_of(keys_of(1).find_newest()[0]))) == 32
    assert keys.find_newest() == (keys_of(2).find_newest()[0], keys_of(2).find_newest()[1])


def test_a_key_that_is_missing_is_named() -> None:
    """By its version, and where it should be."""
    with pytest.raises(MissingKeyError, match=r"stores\.encryption_keys lacks .* key 3,"):
        keys_of(1, 2).find(3, b"")


def test_another_key_of_the_same_number_is_said() -> None:
    """It is no fault of what was sealed."""
    _, check = keys_of(1).find_newest()

    with pytest.raises(MissingKeyError, match=r"key 1 of here is another one"):
        EncryptionKeys({1: encryption_key(2)}, "here").find(1, check)


def test_a_check_says_nothing_of_the_key() -> None:
    """It is in the database."""
    key, check = keys_of(1).find_newest()

    assert len(check) == 8
    assert check not in key


def test_no_key_is_shown() -> None:
    """Not by what a log or a debugger prints."""
    assert repr(keys_of(1, 2)) == "EncryptionKeys([1, 2])"
    with pytest.raises(StoreError, match="here holds no encryption key"):
        EncryptionKeys({}, "here")


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    """The one that the gateway made, and the next one."""
    path = tmp_path / "gateway.encryption-keys"
    make_version_file(path)
    with path.open("a") as file:
        file.write(f"2:{encryption_key(2)}\n")

    keys = read_encryption_key_file(path)

    assert keys.versions == {1, 2}
    assert keys.find_newest() == keys_of(2).find_newest()


@pytest.mark.parametrize("text", ["canary", "0" * 63, "0" * 66, "g" * 64, "A" * 43, "é" * 64])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    """With what makes one, and without quoting it (E15)."""
    path = tmp_path / "gateway.encryption-keys"
    path.write_text(f"1:{text}\n")
    path.chmod(0o600)

    with pytest.raises(StoresError, match="openssl rand -hex 32") as refused:
        read_encryption_key_file(path)

    assert text not in str(refused.value)
