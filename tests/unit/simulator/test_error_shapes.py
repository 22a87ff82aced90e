"""Error bodies: each as its provider sends it."""

import json

import pytest

from gateway.simulator.blocks import ErrorReply
from gateway.simulator.error_shapes import SHAPES, render_error

SHAPE_SIGNS = {
    "openai": lambda b: sorted(b["error"]) == ["code", "message", "param", "type"],
    "octet_stream": lambda b: "error" in b,
    "groq": lambda b: sorted(b["error"]) == ["code", "message", "type"],
    "groq_tool_use_failed": lambda b: b["error"]["code"] == "tool_use_failed",
    "openrouter": lambda b: b["error"]["code"] == 400 and b["error"]["metadata"]["raw"] == "Why.",
    "mistral": lambda b: b["object"] == "error" and b["message"] == "Why.",
    "mistral_message_object": lambda b: b["message"]["detail"][0]["msg"] == "Why.",
    "mistral_message_list": lambda b: b["message"][0]["msg"] == "Why." and b["code"] == 3001,
    "mistral_detail": lambda b: b["detail"][0]["msg"] == "Why.",
    "string": lambda b: b == {"error": "Why."},
    "xai": lambda b: b["error"] == "Why." and "code" in b,
    "gemini": lambda b: b["error"]["status"] == "INVALID_ARGUMENT",
    "gemini_list": lambda b: b[0]["error"]["code"] == 400,
    "anthropic": lambda b: b["type"] == "error" and b["error"]["message"] == "Why.",
    "cohere": lambda b: b == {"id": "sim1", "message": "Why."},
    "message": lambda b: b == {"message": "Why."},
    "vllm": lambda b: b["error"]["code"] == 400 and b["error"]["param"] is None,
    "llamacpp": lambda b: sorted(b["error"]) == ["code", "message", "type"],
}


def test_every_shape_has_its_sign_here():
    """A shape without a test could be anything."""
    assert set(SHAPE_SIGNS) == set(SHAPES)


@pytest.mark.parametrize("shape", sorted(SHAPE_SIGNS))
def test_a_shape_is_the_providers(shape):
    """A gateway finds the sentence in all of them."""
    content_type, body = render_error(ErrorReply(status=400, shape=shape, message="Why."))

    assert SHAPE_SIGNS[shape](json.loads(body))
    assert content_type.startswith("application/")


@pytest.mark.parametrize(
    ("shape", "content_type", "start"),
    [
        ("html", "text/html", b"<html>"),
        ("text", "text/plain; charset=utf-8", b"The model is overloaded."),
        ("empty", "application/json", b""),
    ],
)
def test_some_errors_are_no_json(shape, content_type, start):
    """An edge in front of a provider answers with pages."""
    found = render_error(ErrorReply(status=503, shape=shape))

    assert found[0] == content_type
    assert found[1].startswith(start)


async def test_an_error_is_sent_with_its_status_and_headers(ask):
    """Also with statuses that are in no standard."""
    for status in (400, 402, 413, 429, 498, 499, 500, 520, 524, 529):
        heard = await ask({"error": {"status": status, "retry_after": "7"}})

        assert heard.status == status
        assert "Retry-After: 7" in heard.head
        assert heard.json["error"]["message"]


async def test_an_error_can_have_status_200(ask):
    """OpenRouter answers so once the model has started."""
    heard = await ask("openrouter-200-error", stream=False)

    assert heard.status == 200
    assert heard.json["error"]["code"] == 502


async def test_an_errors_words_can_be_chosen(ask):
    """Codes decide on retries."""
    heard = await ask({"error": {"status": 429, "type": "t", "code": "insufficient_quota"}})

    assert (heard.json["error"]["type"], heard.json["error"]["code"]) == ("t", "insufficient_quota")
