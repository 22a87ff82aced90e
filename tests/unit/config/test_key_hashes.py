"""Hashes of keys, as they are written into gateway.yaml."""

import hashlib

import pytest

from gateway.config.key_hashes import check_hashes, names_by_digest

DIGEST = "sha256:" + "a" * 64


def test_different_keys_of_different_people_are_right() -> None:
    """None at all is for others to judge."""
    check_hashes({})
    check_hashes({"alice": DIGEST, "bob": "sha256:" + "b" * 64})


def test_a_shared_key_is_refused() -> None:
    """Whose limit would a call count against?"""
    with pytest.raises(ValueError, match="alice and bob the same key"):
        check_hashes({"alice": DIGEST, "bob": DIGEST})


@pytest.mark.parametrize("empty", [b"", b"\n"])
def test_the_hash_of_nothing_is_refused(empty: bytes) -> None:
    """E15: `Authorization: Bearer` with nothing behind it would be alice."""
    with pytest.raises(ValueError, match="the hash of an empty text"):
        check_hashes({"alice": f"sha256:{hashlib.sha256(empty).hexdigest()}"})


def test_a_name_is_found_by_its_hash() -> None:
    """And nobody's where no key is written down."""
    assert names_by_digest({"alice": DIGEST}) == {DIGEST: "alice"}
    assert names_by_digest(None) == {}
