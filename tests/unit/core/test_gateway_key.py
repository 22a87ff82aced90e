"""What a key looks like."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.gateway_key import KEY_CHARS, is_key, make_key

SCANNER = re.compile(r"gw_[0-9A-Za-z]{49}")  # as docs/configure/keys.md gives it


def test_a_key_is_what_a_secret_scanner_looks_for() -> None:
    """A key that was committed by mistake is found."""
    keys = {make_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(SCANNER.fullmatch(key) and is_key(key) for key in keys)


@given(st.integers(min_value=0, max_value=KEY_CHARS - 1), st.characters())
def test_one_wrong_character_is_noticed(at: int, character: str) -> None:
    """Without asking anything: a typo costs the store nothing."""
    key = make_key()

    wrong = key[:at] + character + key[at + 1 :]

    assert is_key(wrong) == (wrong == key)


@pytest.mark.parametrize(
    "text", ["", "gw_", "k" * KEY_CHARS, "gw_" + "0" * 49, "gw_" + "ü" * 49, "\udcff" * KEY_CHARS]
)
def test_what_is_no_key_is_none(text: str) -> None:
    """Whatever its characters (E03)."""
    assert not is_key(text)
    assert not is_key(make_key() + text) or text == ""
