"""Messages in Gemini's shape."""

import json

import pytest

from gateway.core.errors import InvalidRequestError
from gateway.wire.gemini_messages import convert_message


@pytest.mark.parametrize(("role", "expected"), [("user", "user"), ("model", "assistant")])
def test_a_lone_text_becomes_a_plain_string(role, expected):
    """Not every compatible endpoint takes a list of parts."""
    message = {"role": role, "parts": [{"text": "grüß <b>"}]}

    assert json.loads(convert_message(message, "messages[0]")) == {
        "role": expected,
        "content": "grüß <b>",
    }


def test_images_become_data_urls():
    """The one form OpenAI's dialect has for bytes."""
    image = {"inlineData": {"data": "AAAA", "mimeType": "image/png"}}
    message = {"role": "user", "parts": [{"text": "what?"}, image]}

    assert json.loads(convert_message(message, "messages[0]"))["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "system", "parts": [{"text": "a"}]}, "m.role"),
        ({"role": "user", "parts": []}, "m.parts"),
        ({"role": "user", "parts": "a"}, "m.parts"),
        ({"role": "user", "parts": ["a"]}, "m.parts[0]"),
        ({"role": "user", "parts": [{"text": "a"}, {}]}, "m.parts[1]"),
        ({"role": "user", "parts": [{"inlineData": {"data": 1, "mimeType": "x"}}]}, "m.parts[0]"),
    ],
)
def test_what_cannot_be_converted_is_named(message, param):
    """A part left out in silence would change the question."""
    with pytest.raises(InvalidRequestError) as caught:
        convert_message(message, "m")

    assert caught.value.param == param
