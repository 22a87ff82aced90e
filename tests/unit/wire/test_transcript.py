"""The words of prompts and answers."""

import json

import pytest

from gateway.wire.transcript import MAX_READ_BYTES, render_answer, render_prompt

PARTS = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:"}}]


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (
            [{"role": "system", "content": "Be."}, {"role": "user", "content": "Hi"}],
            "system: Be.\nuser: Hi",
        ),
        ([{"role": "user", "content": PARTS}], "user: look [image_url]"),
        ([{"role": "assistant", "content": None, "tool_calls": [{}]}], "assistant: [tool_calls]"),
        ([{"content": ["a", 1]}], "None: a [?]"),
        ("Hi", ""),
    ],
)
def test_a_prompt_is_a_line_for_each_message(messages: object, text: str) -> None:
    """As people read it; images are named."""
    assert render_prompt(json.dumps(messages).encode(), 1_000) == text


def test_a_prompt_is_cut() -> None:
    """Whatever its size; a large one is not read, and what cannot be read is shown as it came."""
    message = json.dumps([{"role": "user", "content": "x" * MAX_READ_BYTES}]).encode()

    assert render_prompt(b'[{"role":"user","content":"Hello"}]', 8) == "user: He"
    assert render_prompt(message, 10) == '[{"role": '
    assert render_prompt(b"[\xff", 10) == "[\ufffd"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}', "a"),
        (b'{"choices":[{"message":{"content":null,"refusal":"no"}}]}', "[refusal]"),
        (b'{"choices":[1,{"message":2}]}', ""),
        (b'{"choices":[]}', ""),
        (b"[]", ""),
        (b"{" + b" " * MAX_READ_BYTES, "{" + " " * 999),
        (b"{", ""),
    ],
)
def test_an_answer_is_its_text(body: bytes, text: str) -> None:
    """Of the first choice; what cannot be read says nothing, and what is large is not read."""
    assert render_answer(body, 1_000) == text
