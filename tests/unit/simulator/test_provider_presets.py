"""Provider presets against the positions seen in recorded streams."""

import json

import pytest

# preset: where usage, finish_reason and a chunk without choices are, counted from the last event
# (1); whether [DONE] ends the stream; whether the recorded request asked for usage.
SEEN = {
    "openai-usage": ([1], [2], [1], True, True),
    "openai-moderation": ([2], [3], [1, 2], True, True),
    "groq-2025": ([], [1], [], True, False),
    "groq-2026": ([1], [1], [], True, False),
    "groq-error": ([], [], [], False, False),
    "openrouter-2025": ([1], [2], [], True, True),
    "openrouter-2026-03": ([1], [2], [1], True, True),
    "openrouter": ([1], [1, 2], [], True, True),
    "openrouter-error": ([1], [], [], True, True),
    "deepseek": ([1], [1], [], True, True),
    "mistral": ([1], [1], [], True, False),
    "zai": ([1], [1], [], True, True),
    "vllm": ([1], [2], [1], True, True),
    "snowflake": ([1], [], [1], True, True),
    "together": ([1], [1], [], True, False),
    "novita": ([1], [2], [1], True, False),
    "xai": ([1], [2], [1], True, True),
    "gemini-native": ([], [], [], False, False),
}


@pytest.mark.parametrize("name", sorted(SEEN))
async def test_a_stream_ends_as_the_recorded_one_does(ask, name):
    """These orders are what a reader of streams must survive."""
    usage, finish, empty, has_done, asked = SEEN[name]

    heard = await ask(name, stream_options={"include_usage": asked})

    chunks = [event for event in heard.events if event != "[DONE]"][::-1]
    assert _places(chunks, lambda c: c.get("usage")) == usage
    assert _places(chunks, _finish_reason) == finish
    assert _places(chunks, lambda c: c.get("choices") == []) == empty
    assert (heard.events[-1] == "[DONE]") == has_done


def _places(chunks, has):
    return [place for place, chunk in enumerate(chunks, start=1) if has(chunk)]


def _finish_reason(chunk):
    return any(choice.get("finish_reason") for choice in chunk.get("choices", ()))


async def test_native_streams_have_their_own_form(ask):
    """Typed and padded with spaces, or ended by CRLF."""
    anthropic = await ask("anthropic-native")
    gemini = await ask("gemini-native")

    assert b'event: ping\ndata: {"type":"ping"    }\n\n' in anthropic.body
    assert gemini.body.count(b"\r\n\r\n") == 2


async def test_large_numbers_are_sent_as_numbers(ask):
    """JavaScript loses their last digits; a relay must not."""
    heard = await ask("together")

    assert b'"seed":7228414683750928000' in heard.body


async def test_a_prelude_without_anything_comes_first(ask):
    """Azure's filter results have no id, no model and no choices."""
    heard = await ask("azure-prelude")

    assert heard.events[0]["choices"] == []
    assert heard.events[0]["object"] == ""


async def test_blank_lines_come_before_a_document(ask):
    """DeepSeek keeps a waiting connection alive so."""
    heard = await ask("deepseek-blank-lines", stream=False)

    assert heard.body.startswith(b"\n" * 20 + b"{")
    assert json.loads(heard.body)["choices"]


async def test_a_413_can_be_a_rate_limit(ask):
    """By its code it looks worth a retry, which it is not."""
    heard = await ask("groq-413")

    assert (heard.status, heard.json["error"]["code"]) == (413, "rate_limit_exceeded")
