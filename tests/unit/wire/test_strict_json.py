"""Strict JSON: one reading only."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidJsonError
from gateway.wire.strict_json import (
    MAX_DEPTH,
    MAX_VALUES,
    join_object,
    parse_object,
    split_object,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=6)


def refusal(body: bytes) -> str:
    """Return the sentence that refuses `body`."""
    with pytest.raises(InvalidJsonError) as caught:
        parse_object(body)
    return caught.value.public


@given(value=OBJECTS, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_every_object_is_read_as_the_standard_library_reads_it(value, ascii_only, indent):
    """A body that other programs wrote must not be refused or changed by our shortcuts."""
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert parse_object(body) == value
    assert list(parse_object(body)) == list(value)


@given(value=OBJECTS, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_splitting_and_joining_keeps_values_and_order(value, ascii_only, indent):
    """What goes upstream is what the caller wrote, field by field."""
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    joined = join_object(split_object(body))

    assert parse_object(joined) == value
    assert list(parse_object(joined)) == list(value)
    assert split_object(joined) == split_object(body)


@given(
    body=st.binary(max_size=60) | st.text('{}[]":,\\u0d8123e+-. ntf', max_size=60).map(str.encode)
)
def test_any_bytes_are_an_object_or_a_400(body):
    """Nothing a caller sends may become a 500, and what passes must pass elsewhere too."""
    try:
        value = parse_object(body)
    except InvalidJsonError as error:
        refused = (error.status, len(error.public) < 200)
        assert refused == (400, True)
    else:
        assert json.loads(body) == value


@given(value=OBJECTS.filter(bool), name_index=st.integers(0, 5), again=VALUES)
def test_a_field_given_twice_is_refused_at_any_depth(value, name_index, again):
    """Two parsers may take different ones: what we checked would not be what is acted on."""
    name = list(value)[name_index % len(value)]
    inner = json.dumps(value)[:-1] + f", {json.dumps(name)}: {json.dumps(again)}}}"
    body = f'{{"a": [0, {inner}]}}'.encode()

    assert "twice" in refusal(body)


def test_a_field_given_twice_is_named_and_cut():
    """The caller must find it; the log must not be flooded by it."""
    assert refusal(b'{"a":{"mod\\u0065l":1,"model":2}}') == (
        'The body has the field "model" twice in one object.'
    )
    assert len(refusal(b'{"%s":1,"%s":2}' % (b"k" * 9000, b"k" * 9000))) < 130
    assert '"ü"' in refusal('{"ü":1,"ü":2}'.encode())


def test_colons_quotes_and_braces_in_strings_are_text():
    """Prompts are full of JSON; counting must not be led astray by them."""
    value = {"a": '{"a":1,"a":2}', 'b":"': "[" * 500 + "\\", "c\\": '\\"', "d": ':,:"'}

    assert parse_object(json.dumps(value).encode()) == value


def test_number_text_is_kept():
    """A provider reads 64-bit seeds and 1.0 as what they are."""
    body = (
        b'{"a": 1.0, "b":1E+2 , "c":-0, "d":18446744073709551617, "e":[0.10, 7228414683750928001]}'
    )

    assert split_object(body) == {
        "a": b"1.0",
        "b": b"1E+2",
        "c": b"-0",
        "d": b"18446744073709551617",
        "e": b"[0.10, 7228414683750928001]",
    }


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        ('{"a":1}'.encode("utf-16-le"), "UTF-16"),
        ('{"a":1}'.encode("utf-32-be"), "UTF-16"),
        (b'{"a":"\xff"}', "UTF-8 at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "UTF-8 at byte 6"),
        (b'{"\xc0\x80":1}', "UTF-8 at byte 2"),
        (b"null", "object"),
        (b"[]", "object"),
        (b'"x"', "object"),
        (b"{} {}", "near byte 4"),
        (b'{"a":1}x', "near byte 8"),
        (b'{"a":NaN}', "near byte 5"),
        (b'{"a":Infinity}', "near byte 5"),
        (b'{"a":-Infinity}', "near byte 6"),
        (b'{"a":1e400}', "out of range"),
        (b'{"a":-1e400}', "out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "out of range"),
        (b'{"a":01}', "near byte 6"),
        (b'{"a":1,}', "near byte 7"),
        (b"{'a':1}", "near byte 1"),
        (b'{"a":"\x01"}', "near byte 6"),
        (b'{"a":"\\ud800"}', "half of a surrogate pair is missing."),
        (b'{"a":"\\ud800 and much more text"}', "surrogate"),
        (b'{"a":"\\udc00\\ud800"}', "surrogate"),
        (b'{"\\ud800":1}', "surrogate"),
        (b'{"a":', "it ends too soon."),
        (b'{"a":"\\ud800', "it ends too soon."),
    ],
)
def test_what_is_not_strict_json_is_refused_with_its_place(body, sentence):
    """The caller mends a body faster when told where to look."""
    assert sentence in refusal(body)


def test_surrogate_pairs_pass():
    """JavaScript clients may write every emoji as a pair of escapes."""
    assert parse_object(b'{"\\ud83d\\ude00":"\\uD83D\\uDE00"}') == {"😀": "😀"}


def test_refusals_quote_nothing_of_the_body():
    """A prompt belongs to the caller: it must not get into logs through an error."""
    assert "secret" not in refusal(b'{"prompt": "secret", "x": secret}')


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_passes_up_to_the_limit_and_not_beyond(opening, closing):
    """The limit is exact, so that it can be written down."""
    as_deep = opening * (MAX_DEPTH - 1) + b"1" + closing * (MAX_DEPTH - 1)
    too_deep = opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH

    assert "a" in parse_object(b'{"a":' + as_deep + b"}")
    assert "deeper than 64" in refusal(b'{"a":' + too_deep + b"}")


def test_a_wide_body_is_not_a_deep_one():
    """A long conversation has more brackets than levels."""
    talk = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}] * 500
    for value in ({"messages": talk}, {"a": [[]] * 100, "b": {"c": [{}, 1] * 100}}):
        assert parse_object(json.dumps(value).encode()) == value


def test_many_brackets_that_do_not_match_are_no_depth():
    """The parser says what is wrong with them."""
    assert "it ends too soon" in refusal(b'{"a":' + b"[" * 100)
    assert "near byte" in refusal(b'{"a":' + b"[}" * 100)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[{" * 5_000,
        b'{"a":' + b"[}" * 5_000,
        b"]" * 5_000,
    ],
)
def test_deep_and_unbalanced_bodies_are_a_400(body):
    """A parser that recurses fails with a RecursionError, which would be a 500."""
    assert refusal(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b"1," * MAX_VALUES + b"1]}",
        b'{"a":[' + b"[]," * MAX_VALUES + b"1]}",
        b'{"a":[' + b'"",' * (2 * MAX_VALUES + 2) + b"1]}",
    ],
)
def test_a_body_of_very_many_values_is_refused_before_it_is_parsed(body):
    """The parser holds the interpreter's lock: a million tiny values would stall everybody."""
    assert "500,000 values" in refusal(body)


def test_text_with_very_many_commas_is_one_value():
    """A long table pasted into a prompt is not a flood."""
    body = json.dumps({"a": 'x,"y",[' * MAX_VALUES}).encode()

    assert len(parse_object(body)["a"]) == 7 * MAX_VALUES


def test_splitting_what_was_never_checked_is_a_400_too():
    """A mistake of ours in the order of calls must not be a 500 of the caller's."""
    for body in (b"[]", b"", b"[" * 5000, b'{"\xff":1}', b'{"a":'):
        with pytest.raises(InvalidJsonError):
            split_object(body)


def test_floats_at_the_edge_stay_finite():
    """1e308 is a number, and so is a zero with a silly exponent."""
    value = parse_object(b'{"a":1e308,"b":0e99999,"c":1e-400}')

    assert all(math.isfinite(number) for number in value.values())
