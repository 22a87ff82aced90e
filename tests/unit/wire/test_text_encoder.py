"""Deltas to raw UTF-8, whatever a provider cuts in half."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.text_encoder import TextEncoder

# Everything JavaScript's trimStart removes (ECMAScript, WhiteSpace and LineTerminator).
JS_BLANKS = [
    *"\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff",
    *(chr(code) for code in range(0x2000, 0x200B)),
]
LONE_HALVES = ["\ud83d", "\ude00"]


def encode_all(deltas: list[str]) -> bytes:
    """The bytes of an answer, each piece of which must be UTF-8 on its own."""
    encoder = TextEncoder()
    pieces = [encoder.encode(delta) for delta in deltas]
    assert all(piece.decode() is not None for piece in pieces)
    return b"".join(pieces)


def trim_start(text: str) -> str:
    """What JavaScript's trimStart leaves."""
    return text.lstrip("".join(JS_BLANKS))


@pytest.mark.parametrize("blank", JS_BLANKS, ids=lambda blank: f"U+{ord(blank):04X}")
def test_leading_blanks_are_those_of_javascript(blank: str) -> None:
    """The answer must look as the front end always showed it."""
    assert encode_all([blank, blank + "a" + blank, blank]) == f"a{blank}{blank}".encode()


@pytest.mark.parametrize("kept", ["\u200b", "\u180e", "\x1c", "\x85", "\u2060"])
def test_blanks_that_python_alone_would_strip_stay(kept: str) -> None:
    """`str.lstrip()` takes U+001C and U+0085 too; JavaScript does not."""
    assert encode_all([kept + "a"]) == f"{kept}a".encode()


def test_the_contracts_example_of_trimming() -> None:
    """Leading blanks of the whole answer go, later ones stay (chat contract 1.3)."""
    encoder = TextEncoder()

    pieces = [encoder.encode(delta) for delta in ("\n\n", "  Hel", "\n", "lo", "")]

    assert pieces == [b"", b"Hel", b"\n", b"lo", b""]


@given(st.text(), st.lists(st.integers(0, 40), max_size=5))
def test_a_cut_between_deltas_changes_nothing(text: str, places: list[int]) -> None:
    """Also not inside a character that JSON writes as two escapes."""
    units = text.encode("utf-16-le", "surrogatepass")
    edges = [0, *sorted(2 * p for p in places if 2 * p < len(units)), len(units)]
    deltas = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in itertools.pairwise(edges)]

    assert encode_all(deltas) == trim_start(text).encode()


def test_two_halves_of_a_character_in_two_deltas_become_one() -> None:
    """Providers cut `😀` between its two escapes."""
    halves = [json.loads('"a\\ud83d"'), json.loads('"\\ude00b"')]

    assert encode_all(halves) == "a😀b".encode()


def test_a_half_waits_through_empty_deltas() -> None:
    """A role chunk or a comment may come between the halves."""
    assert encode_all(["\ud83d", "", "", "\ude00"]) == "😀".encode()


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        (["a\ud83d", "b"], "ab"),
        (["a\ude00b"], "ab"),
        (["\ude00"], ""),
        (["\ud83d", "\ud83d", "\ude00"], "😀"),
        (["\ud83d\ud83d", "x"], "x"),
        (["\ude00\ud83d", "\ude00"], "😀"),
        (["a\ud83d"], "a"),
    ],
)
def test_a_half_without_its_other_half_is_left_out(deltas: list[str], text: str) -> None:
    """Alone it is no character; U+FFFD in its place would be a lie."""
    assert encode_all(deltas) == text.encode()


@given(st.lists(st.text(st.sampled_from(["a", "é", "😀", " ", *LONE_HALVES]), max_size=4)))
def test_nothing_is_ever_replaced(deltas: list[str]) -> None:
    """U+FFFD in an answer is a bug that users see."""
    assert b"\xef\xbf\xbd" not in encode_all(deltas)


def test_a_replacement_character_of_the_providers_own_is_passed_on() -> None:
    """What the model wrote is not ours to judge."""
    assert encode_all(["\ufffd"]) == "\ufffd".encode()
