"""What is read from a request."""

import pytest

from gateway.simulator.asking import Request, parse_body, read_ask, read_topic


def _request(body=b"", method="POST", version="1.1", headers=()):
    return Request(method, "/v1/chat/completions", list(headers), body, version)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"x"', b"{", b"\xff\xfe", b"null", pytest.param(b"[" * 9_999, id="deep")]
)
def test_what_is_no_object_is_none(body):
    """A provider that falls over on a bad body is no use in a fault test."""
    assert parse_body(body) is None


def test_the_facts_of_a_request_are_found():
    """They decide on the shape of the answer."""
    ask = read_ask(
        _request(version="1.0", headers=[("Connection", "close")]),
        {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "n": 3,
         "max_completion_tokens": 9, "messages": [{"content": "x" * 40}]},
    )  # fmt: skip

    assert (ask.model, ask.stream, ask.include_usage, ask.choices) == ("m", True, True, 3)
    assert (ask.max_tokens, ask.prompt_tokens) == (9, 10)
    assert (ask.is_http_1_0, ask.is_last, ask.is_head) == (True, True, False)


def test_wrong_types_have_no_effect():
    """Requests of every shape pass through a gateway."""
    body = {"model": 7, "stream": "yes", "n": "many", "max_tokens": -1, "messages": "hi",
            "stream_options": []}  # fmt: skip

    ask = read_ask(_request(), body)

    assert (ask.model, ask.stream, ask.choices, ask.max_tokens) == ("demo", False, 1, None)


def test_a_limit_that_is_null_is_none():
    """Clients write null for what they do not set, and the old name beside it."""
    body = {"max_completion_tokens": None, "max_tokens": 5}

    assert read_ask(_request(), body).max_tokens == 5


def test_the_number_of_choices_is_capped():
    """A caller of the demo must not multiply it a million times."""
    assert read_ask(_request(), {"n": 10**9}).choices == 16


@pytest.mark.parametrize(
    ("content", "topic"),
    [
        ("Tell me about the sea", "Tell me about the sea"),
        ("<script>alert(1)</script> now", "scriptalert1script now"),
        ([{"type": "text", "text": "from parts"}, {"type": "image_url"}], "from parts"),
        ("one two three four five six seven eight nine", "one two three four five six seven"),
        ("x" * 1000, "x" * 48),
        ("नमस्ते, สวัสดี", "नमस्ते สวัสดี"),
        (None, ""),
    ],
)
def test_only_a_few_harmless_words_come_back(content, topic):
    """An echo of arbitrary text is a hole in whatever shows it."""
    assert read_topic({"messages": [{"role": "user", "content": content}]}) == topic
