"""The registry's rules on a request body."""

from decimal import Decimal

import pytest

from gateway.wire.params import apply_rules, ask_for_usage
from gateway.wire.strict_json import join_object, split_object
from tests.unit.wire.rules import Rules


def applied(body: bytes, rules: Rules) -> bytes:
    """Return `body` after `rules`."""
    return join_object(apply_rules(split_object(body), rules))


def test_no_rules_change_nothing():
    """A provider without quirks gets the caller's fields as they are."""
    body = b'{"b":1.0,"a":[ 1 ],"c":"\\u003c"}'

    assert applied(body, Rules()) == body


def test_the_fields_given_are_left_alone():
    """A second attempt at another provider starts from what the caller sent."""
    fields = split_object(b'{"a":1,"b":2}')

    apply_rules(fields, Rules(drop=("a",), rename={"b": "c"}, set={"d": 1}))

    assert fields == {"a": b"1", "b": b"2"}


def test_dropped_fields_are_gone_and_the_rest_keeps_its_place():
    """Mistral answers 422 to any field it does not know."""
    assert applied(b'{"a":1,"seed":2,"b":3}', Rules(drop=("seed", "user"))) == b'{"a":1,"b":3}'


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            b'[{"role":"user","name":"x","content":"a\\u003c"}]',
            b'[{"role":"user","content":"a\\u003c"}]',
        ),
        (b'[{"a":1.0},{"n\\u0061me":2,"b":2.0}]', b'[{"a":1.0},{"b":2.0}]'),
        (b'[ {"role":"user"} ]', b'[ {"role":"user"} ]'),
        (b'["name"]', b'["name"]'),
        (b'{"name":1}', b'{"name":1}'),
        (b"null", b"null"),
    ],
)
def test_a_field_is_dropped_from_every_message(messages, expected):
    """Groq and Mistral refuse `messages[].name`; everything else keeps its bytes."""
    fields = {"messages": messages}

    assert apply_rules(fields, Rules(drop=("messages[].name",))) == {"messages": expected}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":1,"old":9,"b":2}', b'{"a":1,"new":9,"b":2}'),
        (b'{"old":9,"a":1,"new":8}', b'{"a":1,"new":8}'),
        (b'{"new":null,"old":9}', b'{"new":9}'),
        (b'{"old":null}', b'{"new":null}'),
        (b'{"a":1}', b'{"a":1}'),
    ],
)
def test_a_renamed_field_keeps_its_place_and_only_one_is_sent(body, expected):
    """OpenAI's newer models refuse `max_tokens`; both names at once is refused by some."""
    assert applied(body, Rules(rename={"old": "new"})) == expected


def test_set_fields_win_over_the_callers():
    """What the operator sets is not the caller's to change."""
    rules = Rules(set={"store": False, "tier": "flex", "x": {"y": [Decimal("0.10")]}})

    assert applied(b'{"store":true,"a":1}', rules) == (
        b'{"store":false,"a":1,"tier":"flex","x":{"y":[0.10]}}'
    )


@pytest.mark.parametrize(
    ("given", "limit", "expected"),
    [
        (b"5000", 4096, b"4096"),
        (b"4096", 4096, b"4096"),
        (b"4096.0", 4096, b"4096.0"),
        (b"1e9", 4096, b"4096"),
        (b"5000", Decimal(4096), b"4096"),
        (b"5000", 4096.0, b"4096"),
        (b"2", Decimal("1.5"), b"1.5"),
        (b"1.9", 1.5, b"1.5"),
        (b"1.0", 1.5, b"1.0"),
        (b"true", 0, b"true"),
        (b'"9999"', 10, b'"9999"'),
        (b"null", 10, b"null"),
        (b"[99]", 10, b"[99]"),
        (b"99999999999999999999999999", 10, b"10"),
    ],
)
def test_a_cap_lowers_larger_numbers_and_touches_nothing_else(given, limit, expected):
    """An answer must not cost more than the operator allows; a mistake stays the caller's."""
    assert apply_rules({"n": given}, Rules(cap={"n": limit})) == {"n": expected}


def test_a_cap_adds_no_field():
    """Some models need no limit at all."""
    assert apply_rules({}, Rules(cap={"n": 1})) == {}


def test_rules_apply_in_their_order():
    """A dropped field cannot be renamed, a renamed or set one can be capped."""
    rules = Rules(drop=("a",), rename={"a": "x", "b": "c"}, set={"d": 9}, cap={"c": 5, "d": 5})

    assert applied(b'{"a":1,"b":9}', rules) == b'{"c":5,"d":5}'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, b'{"include_usage":true}'),
        (b"null", b'{"include_usage":true}'),
        (b'{"include_obfuscation":false}', b'{"include_obfuscation":false,"include_usage":true}'),
        (b'{"include_usage":false,"x":1.0}', b'{"include_usage":true,"x":1.0}'),
        (b'{ "include_usage": true }', b'{ "include_usage": true }'),
        (b"{}", b'{"include_usage":true}'),
    ],
)
def test_usage_is_asked_for_beside_the_callers_own_options(given, expected):
    """We need the usage to account; what else the caller chose stays."""
    fields = {} if given is None else {"stream_options": given}

    ask_for_usage(fields)

    assert fields == {"stream_options": expected}
