"""Text of others, made safe to pass on."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.clean_text import MAX_EXTRA_CHARS, MAX_MESSAGE_CHARS, clean_text, clean_value

ANY_TEXT = st.text(st.characters(), max_size=40)  # with surrogates
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(text=ANY_TEXT)
def test_a_message_is_one_printable_line(text):
    """Log lines are lines, and a terminal obeys what it is shown."""
    cleaned = clean_text(text)

    cleaned.encode()
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in cleaned)
    assert "\u202e" not in cleaned


def test_a_message_is_cut():
    """Some providers answer with the whole prompt."""
    assert clean_text("x" * 100_000) == "x" * (MAX_MESSAGE_CHARS - 1) + "…"


def test_a_credential_at_the_cut_is_redacted():
    """Half a credential is too much."""
    cleaned = clean_text("x" * (MAX_MESSAGE_CHARS - 12) + " sk-proj-0123456789abcdef")

    assert "0123" not in cleaned


@given(value=ANY_VALUE)
def test_any_json_value_can_be_written_again(value):
    """An error about an error is a 500."""
    cleaned = clean_value(value)

    json.dumps(cleaned, allow_nan=False, ensure_ascii=False).encode()
    assert clean_value(cleaned) == cleaned


def test_a_failed_generation_keeps_its_line_ends():
    """Clients repair and retry with it."""
    assert clean_value({"a": ['{\n\t"b": 1\n}']}) == {"a": ['{\n\t"b": 1\n}']}


def test_values_are_bounded_in_depth_size_and_number():
    """What a provider adds must not grow without end on its way."""
    deep: object = "x"
    for _ in range(50):
        deep = [deep]

    assert "x" not in json.dumps(clean_value(deep))
    assert len(clean_value("x" * 10**6)) == MAX_EXTRA_CHARS
    assert len(clean_value([1] * 10**5)) == 100


def test_credentials_are_redacted_in_values_and_names():
    """`metadata.raw` holds another provider's error, word for word."""
    assert clean_value({"sk-0123456789abcdef": "Bearer 0123456789abcdef"}) == {
        "sk-…cdef": "Bearer …cdef"
    }
    assert clean_value("my-own-secret", secrets=["my-own-secret"]) == "…cret"
