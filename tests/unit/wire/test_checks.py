"""What a field must be."""

import pytest

from gateway.core.errors import InvalidRequestError
from gateway.wire.checks import optional_bool, refuse, require_messages, require_model_text


def test_a_refusal_names_the_field_twice_and_the_value_never():
    """SDKs show `param`; people read the sentence."""
    error = refuse("messages[3].role", "a string")

    assert error.public == "`messages[3].role` must be a string."
    assert error.param == "messages[3].role"
    assert error.status == 400


@pytest.mark.parametrize("value", [None, 1, True, [], "x" * 257, "a\nb", "a\x00", "\u202eevil"])
def test_a_model_name_is_short_printable_text(value):
    """It ends up in logs, metrics and other people's terminals."""
    with pytest.raises(InvalidRequestError) as caught:
        require_model_text(value, "model")

    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ({}, "messages"),
        ("hi", "messages"),
        ([1], "messages[0]"),
        ([{"role": "user"}, None], "messages[1]"),
        ([{}], "messages[0].role"),
        ([{"role": 1}], "messages[0].role"),
    ],
)
def test_messages_are_objects_with_a_role(value, param):
    """The first wrong message is named by its index."""
    with pytest.raises(InvalidRequestError) as caught:
        require_messages(value)

    assert caught.value.param == param


@pytest.mark.parametrize("value", ["true", 1, 0, [], {}])
def test_only_true_false_and_null_are_booleans(value):
    """`stream: "false"` read as true is a surprise nobody wants."""
    with pytest.raises(InvalidRequestError):
        optional_bool(value, "stream")


def test_null_is_false():
    """SDKs write null for what was not given."""
    assert [optional_bool(value, "stream") for value in (None, False, True)] == [False, False, True]
