"""The chunks of a stream: where usage, finish_reason and the terminator go."""

import pytest

ASKED = {"stream_options": {"include_usage": True}}
TOTAL = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def _chunks(heard):
    return [event for event in heard.events if event != "[DONE]"]


def _usages(heard):
    return [chunk.get("usage") for chunk in _chunks(heard)]


async def test_usage_comes_only_when_asked_for(ask):
    """OpenAI sends it in a chunk of its own, and null in all others."""
    unasked = await ask({"count": 2})
    asked = await ask({"count": 2}, **ASKED)

    assert all("usage" not in chunk for chunk in _chunks(unasked))
    assert _usages(asked) == [None] * 4 + [TOTAL]
    assert _chunks(asked)[-1]["choices"] == []


@pytest.mark.parametrize(
    ("shape", "usages"),
    [
        ("none", [None] * 4),
        ("own", [None] * 4 + [TOTAL]),
        ("own_twice", [None] * 4 + [TOTAL] * 2),
        ("own_then_another", [None] * 4 + [TOTAL, None]),
        ("own_with_choice", [None] * 4 + [TOTAL]),
        ("with_finish", [None] * 3 + [TOTAL]),
        ("x_groq", [None] * 4),
        ("x_groq_and_top", [None] * 3 + [TOTAL]),
    ],
)
async def test_usage_goes_where_its_shape_says(ask, shape, usages):
    """No two providers agree on its place."""
    heard = await ask({"count": 2, "usage": shape})

    assert _usages(heard) == usages
    x_groq = [chunk["x_groq"]["usage"] for chunk in _chunks(heard) if "x_groq" in chunk]
    assert x_groq == ([TOTAL] if "x_groq" in shape else [])
    is_last_empty = _chunks(heard)[-1]["choices"] == []
    assert is_last_empty == (shape in ("own", "own_twice", "own_then_another"))


async def test_usage_can_grow_with_every_chunk(ask):
    """Adding these up counts every token many times."""
    heard = await ask({"count": 3, "usage": "every"})

    assert [usage["completion_tokens"] for usage in _usages(heard)] == [0, 1, 2, 3, 3]


async def test_usage_can_lie(ask):
    """Negative, huge and textual counts were all seen; none may reach a ledger."""
    heard = await ask({"usage": "own", "usage_values": {"prompt_tokens": -1, "cost": "free"}})

    assert _usages(heard)[-1]["prompt_tokens"] == -1
    assert _usages(heard)[-1]["cost"] == "free"


async def test_null_usage_can_be_forced_and_forbidden(ask):
    """DeepSeek sends null unasked; others leave the key out though asked."""
    forced = await ask({"count": 1, "usage_nulls": True})
    forbidden = await ask({"count": 1, "usage_nulls": False}, **ASKED)

    assert all("usage" in chunk for chunk in _chunks(forced))
    assert sum("usage" in chunk for chunk in _chunks(forbidden)) == 1


@pytest.mark.parametrize(
    ("shape", "reasons"),
    [
        ("own", [None, None, None, "stop"]),
        ("twice", [None, None, None, "stop", "stop"]),
        ("with_content", [None, None, "stop"]),
        ("never", [None, None, None]),
    ],
)
async def test_the_finish_goes_where_its_shape_says(ask, shape, reasons):
    """A finish may be sent twice, with content, or not at all."""
    heard = await ask({"count": 2, "finish": shape})

    assert [chunk["choices"][0]["finish_reason"] for chunk in _chunks(heard)] == reasons


async def test_the_finish_key_can_be_missing(ask):
    """Reading it without a default fails on xAI and Z.ai."""
    heard = await ask({"count": 2, "finish_key": "missing", "finish_reason": "length"})

    choices = [chunk["choices"][0] for chunk in _chunks(heard)]
    assert ["finish_reason" in choice for choice in choices] == [False] * 3 + [True]
    assert choices[-1]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("shape", "tail"), [("once", 1), ("never", 0), ("twice", 2), ("then_data", 1)]
)
async def test_the_terminator_comes_as_often_as_asked(ask, shape, tail):
    """Its absence is an error only when no finish came either."""
    heard = await ask({"count": 1, "done": shape})

    assert heard.events.count("[DONE]") == tail
    assert (heard.events[-1] == "[DONE]") == (shape in ("once", "twice"))


async def test_choices_take_turns_and_the_second_may_open(ask):
    """llama.cpp with n=2 begins with choice 1."""
    heard = await ask({"count": 2, "first_choice": 1}, n=2)

    indexes = [chunk["choices"][0]["index"] for chunk in _chunks(heard)]
    assert indexes == [1, 0] * 4


async def test_usage_counts_every_choice(ask):
    """Each choice is generated and paid for."""
    heard = await ask({"count": 3, "choices": 2, "usage": "own"})

    assert _usages(heard)[-1]["completion_tokens"] == 6


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ("own", {"role": "assistant", "content": ""}),
        ("null_content", {"role": "assistant", "content": None}),
        ("every", {"role": "assistant", "content": " word0"}),
        ("none", {"content": " word0"}),
    ],
)
async def test_the_role_goes_where_its_shape_says(ask, shape, first):
    """The first chunk may carry no text, null, or text at once."""
    heard = await ask({"count": 1, "role": shape})

    assert _chunks(heard)[0]["choices"][0]["delta"] == first


async def test_extras_are_put_over_chunks_choices_and_deltas(ask):
    """Every provider adds fields of its own; all must survive a relay."""
    heard = await ask(
        {
            "count": 1,
            "chunk_extra": {"provider": "P"},
            "first_extra": {"x_groq": {"id": "r"}},
            "last_extra": {"timings": {}},
            "choice_extra": {"seed": 7228414683750928000},
            "delta_extra": {"channel": "final"},
            "leave_out": ["object"],
            "last_object": "",
            "obfuscation": True,
            "prelude": [{"choices": [], "id": ""}],
        }
    )

    prelude, first, _, last = _chunks(heard)
    assert prelude == {"choices": [], "id": ""}
    assert (first["provider"], first["x_groq"], "timings" in first) == ("P", {"id": "r"}, False)
    assert (last["timings"], "x_groq" in last) == ({}, False)
    assert first["choices"][0]["seed"] == 7228414683750928000
    assert first["choices"][0]["delta"]["channel"] == "final"
    assert "object" not in first
    assert first["obfuscation"]


async def test_the_last_chunk_can_be_another_object(ask):
    """Perplexity calls it chat.completion.done."""
    heard = await ask({"count": 1, "last_object": "chat.completion.done"})

    assert [chunk["object"] for chunk in _chunks(heard)[-2:]] == [
        "chat.completion.chunk",
        "chat.completion.done",
    ]
