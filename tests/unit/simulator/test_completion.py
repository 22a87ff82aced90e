"""Answers in one document."""

from gateway.simulator.completion import fill


async def test_a_completion_says_what_its_stream_says(ask):
    """A gateway is compared on both."""
    directive = {"text": "Hello there", "reasoning": ["hm"], "tool_calls": [{}]}

    streamed = await ask({**directive, "usage": "own"})
    document = (await ask(directive, stream=False)).json

    message = document["choices"][0]["message"]
    assert message["content"] == streamed.text
    assert message["reasoning_content"] == "hm"
    assert message["tool_calls"][0]["function"]["name"] == "get_weather"
    assert document["choices"][0]["finish_reason"] == "tool_calls"
    assert document["usage"] == streamed.events[-2]["usage"]


async def test_a_completion_can_have_many_choices(ask):
    """Each has its index."""
    document = (await ask({"text": "Hi"}, stream=False, n=3)).json

    assert [choice["index"] for choice in document["choices"]] == [0, 1, 2]


async def test_a_completion_can_leave_things_out(ask):
    """Missing keys are as common in documents as in streams."""
    directive = {"usage": "none", "finish": "never", "leave_out": ["object"], "content_parts": True}
    document = (await ask(directive, stream=False)).json

    assert {"usage", "object"}.isdisjoint(document)
    assert "finish_reason" not in document["choices"][0]
    assert isinstance(document["choices"][0]["message"]["content"], list)


async def test_a_completion_has_exactly_the_size_asked_for(ask):
    """Size limits are tested at their edge."""
    for size in (512, 70_000, 1_000_000):
        heard = await ask({"json_bytes": size}, stream=False)

        assert len(heard.body) == size
        assert heard.json["choices"][0]["message"]["content"].startswith("xxx")


def test_filler_costs_no_memory():
    """A gigabyte of answer is one piece, many times."""
    pieces = fill(2**30)

    assert len({id(piece) for piece in pieces}) == 1
    assert sum(len(piece) for piece in pieces) == 2**30
