"""What is sealed opens in one place, whole, with the right key, and otherwise never."""

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.stores.credentials import Envelope
from gateway.stores.encryption_keys import EncryptionKeys, MissingKeyError
from gateway.stores.envelope import DoesNotOpenError, open_envelope, seal
from gateway.stores.errors import StoreError
from tests.plugins.stored_credentials import VALUE, encryption_key, keys_of

TEXTS = st.text(max_size=40)
# Names that run into each other when they are put together without care.
NAMES = st.sampled_from(["", "a", "ab", "b", "a:b", "user:a", "user:ab", "1", "11", "\0", "é"])
PLACES = st.tuples(NAMES, NAMES)
PARTS = st.sampled_from(["data_key", "sealed"])


@given(owner=TEXTS, field=TEXTS, value=TEXTS, version=st.integers(1, 3))
@settings(deadline=None)
def test_what_was_sealed_opens(owner: str, field: str, value: str, version: int) -> None:
    """Whatever it is, and whatever keys have come since."""
    envelope = seal(keys_of(version), owner, field, SecretStr(value))

    opened = open_envelope(keys_of(*range(1, 4)), owner, field, envelope)

    assert opened.get_secret_value() == value
    assert envelope.key == version


@given(sealed_at=PLACES, read_at=PLACES)
@settings(deadline=None)
def test_a_row_that_was_copied_does_not_open(
    sealed_at: tuple[str, str], read_at: tuple[str, str]
) -> None:
    """Whoever can write the database cannot make somebody else pay."""
    assume(sealed_at != read_at)
    envelope = seal(keys_of(1), *sealed_at, SecretStr(VALUE))

    with pytest.raises(DoesNotOpenError):
        open_envelope(keys_of(1), *read_at, envelope)


@given(part=PARTS, data=st.data())
@settings(deadline=None)
def test_a_changed_bit_does_not_open(part: str, data: st.DataObject) -> None:
    """Wherever it is."""
    envelope = seal(keys_of(1), "a", "b", SecretStr(VALUE))
    content = bytearray(getattr(envelope, part))
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8

    with pytest.raises(DoesNotOpenError):
        open_envelope(keys_of(1), "a", "b", replaced(envelope, part, bytes(content)))


@given(part=PARTS, length=st.integers(0, 59), tail=st.binary(max_size=3))
@settings(deadline=None)
def test_what_was_cut_off_or_added_to_does_not_open(part: str, length: int, tail: bytes) -> None:
    """Also where nothing is left."""
    envelope = seal(keys_of(1), "a", "b", SecretStr(VALUE))
    content = getattr(envelope, part)[:length] + tail
    assume(content != getattr(envelope, part))

    with pytest.raises(DoesNotOpenError):
        open_envelope(keys_of(1), "a", "b", replaced(envelope, part, content))


@given(part=PARTS)
@settings(deadline=None)
def test_parts_of_two_envelopes_do_not_open(part: str) -> None:
    """Not even of one owner and field: an old value does not come back under a new data key."""
    first, second = (seal(keys_of(1), "a", "b", SecretStr(VALUE)) for _ in range(2))

    with pytest.raises(DoesNotOpenError):
        open_envelope(keys_of(1), "a", "b", replaced(first, part, getattr(second, part)))


def test_another_key_of_the_same_version_is_said() -> None:
    """Said with its version and where it is from; and it would not open either."""
    envelope = seal(keys_of(1), "user:alice", "groq_api_key", SecretStr(VALUE))
    wrong = EncryptionKeys({1: encryption_key(2)}, "stores.encryption_keys")

    with pytest.raises(MissingKeyError, match="is another one than"):
        open_envelope(wrong, "user:alice", "groq_api_key", envelope)
    forged = replaced(envelope, "key_check", wrong.find_newest()[1])
    with pytest.raises(DoesNotOpenError):
        open_envelope(wrong, "user:alice", "groq_api_key", forged)


def test_a_version_that_was_changed_does_not_open() -> None:
    """The same key under another version is another key."""
    envelope = seal(keys_of(1), "a", "b", SecretStr(VALUE))
    twice = EncryptionKeys({1: encryption_key(1), 2: encryption_key(1)}, "here")

    with pytest.raises(DoesNotOpenError):
        open_envelope(
            twice,
            "a",
            "b",
            Envelope(2, envelope.key_check, envelope.data_key, envelope.sealed),
        )


def test_a_key_that_is_missing_is_said_so() -> None:
    """It is no fault of the row."""
    envelope = seal(keys_of(2), "a", "b", SecretStr(VALUE))

    with pytest.raises(MissingKeyError, match="key 2"):
        open_envelope(keys_of(1, 3), "a", "b", envelope)


def test_nothing_of_the_value_is_seen() -> None:
    """Neither in the envelope nor in what is said about it; and no two are alike."""
    first, second = (seal(keys_of(1), "a", "b", SecretStr(VALUE)) for _ in range(2))
    with pytest.raises(StoreError) as refused:
        open_envelope(keys_of(1), "c", "b", first)

    assert VALUE not in f"{refused.value!r}{refused.value.__cause__!r}"
    assert VALUE.encode() not in first.sealed + first.data_key
    assert first.data_key != second.data_key
    assert first.sealed != second.sealed


def replaced(envelope: Envelope, part: str, content: bytes) -> Envelope:
    """The envelope with one of its parts in another form."""
    return msgspec.structs.replace(envelope, **{part: content})
