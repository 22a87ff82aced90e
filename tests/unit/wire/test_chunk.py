"""What the events of a completion stream say, in every shape that providers send.

The rule here: shapes come from providers as they are; none is made up for the test's sake.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.usage import Usage
from gateway.wire.chunk import EventKind, StreamReader, decode_chunk
from gateway.wire.sse import Fragment

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
COUNTED = Usage(3, 4, "provider")
DONE = b"data: [DONE]\n\n"


def event(value: object, kind: str = "") -> bytes:
    """One event with this data."""
    line = f"event: {kind}\n" if kind else ""
    return f"{line}data: {json.dumps(value)}\n\n".encode()


def choice(delta: object = None, index: object = 0, **fields: object) -> dict[str, Any]:
    """One choice of a chunk."""
    return {"index": index, "delta": delta or {}, **fields}


def chunk(*choices: object, **fields: object) -> bytes:
    """One event with a chunk of these choices."""
    return event({"object": "chat.completion.chunk", "choices": list(choices), **fields})


def text(content: object, **fields: object) -> bytes:
    """One event with a delta of text."""
    return chunk(choice({"content": content}), **fields)


def finish(index: int = 0, reason: str = "stop", **fields: object) -> bytes:
    """One event with a finish reason."""
    return chunk(choice(index=index, finish_reason=reason), **fields)


def read_all(*events: bytes) -> StreamReader:
    """A reader that has read these events."""
    reader = StreamReader()
    for each in events:
        reader.read(each)
    return reader


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (b": OPENROUTER PROCESSING\n\n", EventKind.SILENCE),
        (b"\n\n", EventKind.SILENCE),
        (b"data:\n\n", EventKind.SILENCE),
        (b"retry: 0\n\n", EventKind.SILENCE),
        (b"event: ping\n\n", EventKind.SILENCE),
        (b"event: ping\ndata: ping\n\n", EventKind.SILENCE),
        (b"data: 2026-07-01T00:00:00Z\nevent: keep-alive\n\n", EventKind.SILENCE),
        (b'event: chunk\ndata: {"choices"\n\n', EventKind.UNREADABLE),
        (b"event: message\ndata: ping\n\n", EventKind.UNREADABLE),
        (chunk(choice({"role": "assistant", "content": ""})), EventKind.SILENCE),
        (chunk(choice({"role": "assistant", "content": None})), EventKind.SILENCE),
        (chunk(choice()), EventKind.SILENCE),
        (chunk({"index": 0}), EventKind.SILENCE),
        (chunk({}), EventKind.SILENCE),
        (chunk(), EventKind.SILENCE),
        (chunk(prompt_filter_results=[], id="", model=""), EventKind.SILENCE),
        (event({"type": "ping"}), EventKind.SILENCE),
        (chunk(choice({"refusal": "", "tool_calls": None})), EventKind.SILENCE),
        (finish(), EventKind.SILENCE),
        (text("a"), EventKind.CONTENT),
        (text(" "), EventKind.CONTENT),
        (chunk(choice({"content": "a"}, finish_reason="stop")), EventKind.CONTENT),
        (chunk(choice({"reasoning": "hm"})), EventKind.CONTENT),
        (chunk(choice({"reasoning_content": "hm", "content": None})), EventKind.CONTENT),
        (chunk(choice({"tool_calls": [{"function": {"name": "f"}}]})), EventKind.CONTENT),
        (chunk(choice({"function_call": {"name": "f"}})), EventKind.CONTENT),
        (chunk(choice({"refusal": "No."})), EventKind.CONTENT),
        (chunk(choice({"audio": {"id": "a"}})), EventKind.CONTENT),
        (text([{"type": "text", "text": "a"}]), EventKind.CONTENT),
        (text([{"type": "thinking", "thinking": []}]), EventKind.CONTENT),
        (chunk(choice({"content": ""}), choice({"content": "b"}, 1)), EventKind.CONTENT),
        (Fragment(b"data: xxx"), EventKind.GIANT),
        (chunk(usage=USAGE), EventKind.USAGE),
        (event({"choices": None, "usage": USAGE}), EventKind.USAGE),
        (text("a", usage=USAGE), EventKind.CONTENT),
        (finish(usage=USAGE), EventKind.SILENCE),
        (chunk(usage=None), EventKind.SILENCE),
        (DONE, EventKind.DONE),
        (b"data:[DONE]\r\n\r\n", EventKind.DONE),
        (b"data: [DONE] \n\n", EventKind.DONE),
        (b"data: [DONE]", EventKind.DONE),
        (b"data:   [DONE]  \n\n", EventKind.DONE),
        (b"event: done\ndata: [DONE]\n\n", EventKind.DONE),
        (b"data: {\n\n", EventKind.UNREADABLE),
        (b"data: <html>\n\n", EventKind.UNREADABLE),
        (b'data: {"choices": "many"}\n\n', EventKind.UNREADABLE),
        (b'data: {"choices": [1]}\n\n', EventKind.UNREADABLE),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', EventKind.UNREADABLE),
        (b"data: 7\n\n", EventKind.UNREADABLE),
        (b"data: []\n\n", EventKind.UNREADABLE),
    ],
)
def test_an_event_is_what_it_means_to_the_caller(read: bytes, kind: EventKind) -> None:
    """The kind decides what is held back, what ends the wait and what ends the stream."""
    assert StreamReader().read(read) is kind


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (event({"error": {"message": "m", "code": 429}}), {"message": "m", "code": 429}),
        (event({"error": "m"}), "m"),
        (text("", error={"message": "m"}, usage=USAGE), {"message": "m"}),
        (finish(reason="error", error={"message": "m"}), {"message": "m"}),
        (event({"error": {"message": "m"}}, "error"), {"message": "m"}),
        (event({"message": "m", "type": "t"}, "error"), {"message": "m", "type": "t"}),
        (event([{"message": "m"}], "error"), {"message": "m"}),
        (event("m", "error"), "m"),
        (event({}, "error"), "{}"),
        (event(None, "error"), "null"),
        (event({"error": None, "code": 1}, "error"), {"error": None, "code": 1}),
        (b"event: error\ndata: it broke\n\n", "it broke"),
        (b"data: it broke\nevent: error\n\n", "it broke"),
        (chunk(choice(), x_groq={"error": "m"}), "m"),
        (event({"object": "error", "message": "m"}), {"object": "error", "message": "m"}),
        (event([{"error": {"message": "m"}}]), {"message": "m"}),
        (finish(reason="error"), "The provider ended the answer with an error."),
        (chunk({"delta": {"content": "a"}, "error": {"code": 429}}), {"code": 429}),
        (chunk({"delta": {}, "finish_reason": "error", "error": "m"}), "m"),
        (event({"message": "m"}), {"message": "m"}),
        (event({"id": "1", "message": "m"}), {"id": "1", "message": "m"}),
        (event({"detail": [{"msg": "m"}]}), {"detail": [{"msg": "m"}]}),
    ],
)
def test_every_shape_of_an_error_in_a_stream_is_a_fault(read: bytes, fault: object) -> None:
    """An error taken for silence becomes an answer that looks whole."""
    reader = StreamReader()

    assert reader.read(read) is EventKind.FAULT
    assert reader.fault == fault
    assert reader.read(DONE) is EventKind.DONE
    assert not reader.is_complete


@pytest.mark.parametrize("nothing", [None, "", {}, False, []])
def test_an_empty_error_field_is_no_fault(nothing: object) -> None:
    """Some providers send the field in every chunk."""
    reader = StreamReader()

    assert reader.read(text("a", error=nothing)) is EventKind.CONTENT
    assert reader.fault is None


@pytest.mark.parametrize(
    ("read", "is_plain"),
    [
        (event({"error": {"message": "m"}}), True),
        (event({"error": {"message": "m"}}, "error"), True),
        (event({"message": "m"}, "error"), False),
        (event([{"error": {"message": "m"}}]), False),
        (event({"object": "error", "message": "m"}), False),
        (chunk(choice(), x_groq={"error": "m"}), False),
        (finish(reason="error"), False),
    ],
)
def test_it_knows_which_errors_an_openai_client_understands(read: bytes, *, is_plain: bool) -> None:
    """The others get an error event of ours behind them."""
    assert read_all(read).fault_is_plain is is_plain


@pytest.mark.parametrize(
    "events",
    [
        [text("a"), DONE],
        [text("a"), finish()],
        [text("a"), finish(), finish(), DONE],
        [text("a"), finish(), chunk(usage=USAGE), DONE],
        [text("a"), chunk(usage=USAGE), chunk(moderation={}), finish()],
        [DONE],
        [text("a"), DONE, DONE],
        [chunk(choice({"content": "a"}), choice({"content": "b"}, 1)), finish(1), finish(0)],
        [chunk(choice({"content": "b"}, 1)), chunk(choice({"content": "a"})), finish(0), finish(1)],
        [chunk(choice({"content": "a"}, finish_reason="stop"), choice(index=1)), finish(1)],
        [chunk({"delta": {"content": "a"}}), chunk({"finish_reason": "stop"})],
    ],
)
def test_an_answer_is_whole_with_its_terminator_or_every_finish_reason(events: list[bytes]) -> None:
    """Some never send a finish reason, some never `[DONE]`; one of them is enough."""
    assert read_all(*events).is_complete


@pytest.mark.parametrize(
    "events",
    [
        [],
        [b": ping\n\n"],
        [text("a")],
        [text("a"), chunk(usage=USAGE)],
        [chunk(choice({"content": "a"}), choice({"content": "b"}, 1)), finish(0)],
        [finish(0), text("a"), chunk(choice({"content": "late"}, 1))],
        [text("a", usage=USAGE), finish(reason="")],
        [chunk(choice(finish_reason=None))],
    ],
)
def test_an_answer_without_either_is_not_whole(events: list[bytes]) -> None:
    """What ends without a word may be half of it."""
    assert not read_all(*events).is_complete


@pytest.mark.parametrize(
    "events",
    [
        [finish(), chunk(usage=USAGE), DONE],
        [finish(usage=USAGE)],
        [finish(usage=USAGE, x_groq={"usage": USAGE})],
        [finish(x_groq={"id": "req", "usage": USAGE})],
        [text("a", usage={**USAGE, "completion_tokens": 1}), text("b", usage=USAGE)],
        [chunk(usage=USAGE), chunk(moderation={}), finish()],
        [chunk(usage=USAGE), text("b", usage=None), finish(usage={})],
        [text("a", usage=USAGE), text("b", usage={"prompt_tokens": -1})],
        [event({"error": {"message": "m"}, "usage": USAGE})],
    ],
)
def test_usage_is_the_last_that_was_said_wherever_it_stands(events: list[bytes]) -> None:
    """Adding up would bill a cumulative count many times."""
    assert read_all(*events).usage == COUNTED


@pytest.mark.parametrize("lie", [-1, 10**18, "many", None, [USAGE], 1.5])
def test_usage_that_cannot_be_true_is_none(lie: object) -> None:
    """It is estimated instead, and marked so."""
    lies = {"prompt_tokens": lie, "completion_tokens": lie}

    assert read_all(text("a", usage=lies), chunk(usage=lie)).usage is None


def test_what_was_relayed_is_estimated_from_events_and_characters() -> None:
    """A delta is a token with most providers, several with some."""
    few = read_all(text("a"), text("b"), chunk(choice({"reasoning": "hm"})))
    long = read_all(text("x" * 41), Fragment(b"data: y"))

    assert few.estimate_usage() == Usage(None, 3, "estimate")
    assert long.estimate_usage() == Usage(None, 11, "estimate")


NOT_YET = {"prompt_tokens": 3, "completion_tokens": 0, "cost": 0.01}
NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
ANSWER_ALONE = {"prompt_tokens": 0, "completion_tokens": 4}


@pytest.mark.parametrize(
    "events",
    [
        [text("a"), finish(usage=USAGE), chunk(usage=NOTHING)],
        [text("a", usage=USAGE), finish(x_groq={"usage": NOTHING})],
        [chunk(usage=NOT_YET), text("a"), chunk(usage=ANSWER_ALONE), chunk(usage=NOTHING)],
        [text("a"), chunk(usage=USAGE), chunk(usage={"prompt_tokens": 3})],
        [text("a", usage={**USAGE, "completion_tokens": 9}), finish(usage=USAGE)],
    ],
)
def test_a_count_of_none_does_not_undo_one_that_was_made(events: list[bytes]) -> None:
    """Who sends zeros last would be charged nothing; a smaller count is a correction."""
    assert read_all(*events).settle_usage() == COUNTED


@pytest.mark.parametrize(
    "events",
    [
        [text("x" * 41), chunk(usage=NOTHING)],
        [text("x" * 41, usage=NOTHING), finish(usage=NOTHING), DONE],
    ],
)
def test_an_answer_that_was_counted_as_none_is_estimated(events: list[bytes]) -> None:
    """Servers that do not count say 0 of everything."""
    used = read_all(*events).settle_usage()

    assert used is not None
    assert used.fill(0, 11) == Usage(0, 11, "estimate")


def test_no_answer_may_be_counted_as_none() -> None:
    """That is no lie: the provider has failed before its first word."""
    assert read_all(chunk(usage=NOTHING)).settle_usage() == Usage(0, 0, "provider")


@pytest.mark.parametrize(
    ("events", "used"),
    [
        ([], None),
        ([text("a"), finish(usage=USAGE)], COUNTED),
        ([text("a", usage=USAGE)], COUNTED),
        ([chunk(usage=NOT_YET), text("x" * 41)], Usage(3, 11, "estimate")),
        ([chunk(usage=USAGE), text("x" * 41)], COUNTED),
        (
            [
                chunk(usage={**USAGE, "completion_tokens": 1, "total_tokens": 4}),
                *[text("a")] * 3,
                chunk(usage=NOTHING),
            ],
            Usage(3, 3, "estimate"),
        ),
        ([chunk(usage=NOT_YET), text("x" * 40), text("y")], Usage(3, 11, "estimate")),
        ([chunk(usage=USAGE), text("a"), text("b"), text("c")], COUNTED),
        ([chunk(usage=NOT_YET), text("a"), text("b"), finish(usage=USAGE)], COUNTED),
    ],
)
def test_a_count_from_before_the_words_is_not_all_of_it(
    events: list[bytes], used: Usage | None
) -> None:
    """Whoever leaves after it would have had the rest for nothing."""
    assert read_all(*events).settle_usage() == used


def test_who_counts_none_in_each_chunk_has_not_counted() -> None:
    """What has come is estimated then, or a budget would end no such stream."""
    reader = read_all(chunk(usage=NOT_YET), text("a"), chunk(usage=NOT_YET), text("b"))

    assert reader.usage is not None
    assert reader.usage.tokens_out is None


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (text("a"), "a"),
        (text([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab"),
        (text([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]), ""),
        (text([{"type": "text"}, {"type": "text", "text": 7}, "x", None]), ""),
        (text({"odd": 1}), ""),
        (text(7), ""),
        (chunk(choice({"reasoning": "hm"})), ""),
        (chunk(choice({"content": "a"}), choice({"content": "b"}, 1)), "a"),
        (b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', "\ud83d"),
        (b'data: {"choices":[{"delta":{"content":"a"},"logprobs":NaN}]}\n\n', "a"),
        (DONE, ""),
    ],
)
def test_the_text_is_that_of_the_first_choice(read: bytes, expected: str) -> None:
    """The chat front end shows one answer, without its reasoning."""
    reader = read_all(text("before"), read)

    assert reader.text == expected


@pytest.mark.parametrize("field", ["x", "usage", "choices", "error", "x_groq", "delta"])
def test_json_nested_too_deep_is_unreadable(field: str) -> None:
    """An exception here would leave the connection's callback and hang the exchange."""
    deep = b"[" * 100_000 + b"]" * 100_000
    read = b'data: {"%b": %b}\n\n' % (field.encode(), deep)
    if field == "delta":
        read = b'data: {"choices": [{"delta": {"content": %b}}]}\n\n' % deep
    reader = StreamReader()

    assert reader.read_plain(read) is False
    assert reader.read(read) is EventKind.UNREADABLE


@given(st.binary() | st.binary().map(lambda b: b"data: " + b + b"\n\n"))
def test_reading_never_raises(read: bytes) -> None:
    """Whatever a provider sends."""
    reader = StreamReader()

    assert reader.read_plain(read) in {True, False}
    assert reader.read(read) in EventKind
    decode_chunk(read)


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (b'data: {"choices":[{"delta":{"content":"a"}}],"id":"\xff"}\n\n', EventKind.CONTENT),
        (b'data: {"choices":[{"delta":{"content":"a","refusal":"\xff"}}]}\n\n', EventKind.CONTENT),
        (b'data: {"choices":[{"delta":{"reasoning":"\xff"}}]}\n\n', EventKind.CONTENT),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', EventKind.UNREADABLE),
        (b'data: {"error":{"message":"cut \xe2\x82"}}\n\n', EventKind.FAULT),
        (b'data: {"message":"cut \xe2\x82"}\n\n', EventKind.FAULT),
        (b'event: error\ndata: {"message":"cut \xe2\x82"}\n\n', EventKind.FAULT),
    ],
)
def test_bytes_that_are_no_utf8_matter_in_text_alone(read: bytes, kind: EventKind) -> None:
    """An error whose sentence was cut in a character is an error, and a word is a word."""
    assert StreamReader().read(read) is kind


@pytest.mark.parametrize(
    ("read", "kind", "content"),
    [
        (b'data: {"choices":[{"delta":{"content":"a\tb"}}]}\n\n', EventKind.CONTENT, "a\tb"),
        (b'data: {"error":{"message":"a\tb"}}\n\n', EventKind.FAULT, ""),
        (b'data: {"message":"a\tb"}\n\n', EventKind.FAULT, ""),
    ],
)
def test_a_tab_in_a_text_is_a_tab(read: bytes, kind: EventKind, content: str) -> None:
    """JSON wants it escaped; who writes JSON by hand does not."""
    reader = StreamReader()

    assert (reader.read(read), reader.text) == (kind, content)


odd_values = st.sampled_from([None, "", "a", "stop", "error", 0, 1, 1.0, True, [], {}, USAGE])
deltas = st.dictionaries(
    st.sampled_from(["content", "role", "reasoning", "tool_calls", "refusal"]), odd_values
)
choices = st.fixed_dictionaries(
    {}, optional={"index": odd_values, "delta": deltas, "finish_reason": odd_values}
)
chunks = st.fixed_dictionaries(
    {"choices": st.lists(choices, max_size=2)},
    optional={"usage": odd_values, "error": odd_values, "x_groq": odd_values, "id": odd_values},
)
plain = st.text(min_size=1).map(lambda content: {"choices": [choice({"content": content})]})


@given(st.lists(chunks | plain, max_size=8))
def test_the_fast_path_sees_what_the_slow_one_sees(values: list[object]) -> None:
    """It may only be faster."""
    fast, slow = StreamReader(), StreamReader()

    for value in values:
        read = event(value)
        if fast.read_plain(read):
            assert slow.read(read) is EventKind.CONTENT
        else:
            assert fast.read(read) is slow.read(read)
        assert fast.text == slow.text

    seen = ("usage", "fault", "fault_is_plain", "done", "is_complete", "content_events")
    assert [getattr(fast, name) for name in seen] == [getattr(slow, name) for name in seen]
    assert fast.estimate_usage() == slow.estimate_usage()


@pytest.mark.parametrize(
    "read",
    [
        text("a") + text("b"),
        text("a") + b": comment\n\n",
        text("a")[:-1],
        b"\n" + text("a"),
        b": c\n" + text("a"),
        text("a") + DONE,
        finish(),
        text("a", usage=USAGE),
        text(""),
        chunk(choice({"content": "a"}), choice({"content": "b"}, 1)),
        chunk({"delta": {"content": "a"}, "error": {"code": 429}}),
        text("a").replace(b'"choices"', b'\n\n"choices"'),
        text("a").replace(b'"choices"', b'\r"choices"'),
        DONE,
    ],
)
def test_the_fast_path_takes_one_plain_delta_and_nothing_else(read: bytes) -> None:
    """Two events in one read are two pieces downstream."""
    reader = StreamReader()

    assert reader.read_plain(read) is False
    assert reader.content_events == 0


def test_what_tools_are_called_with_is_counted_by_its_length() -> None:
    """Groq sends a whole call in one chunk: one token would let it pass any limit."""
    calls = [{"function": {"name": "f", "arguments": "x" * 400}}, {"function": None}, 5]

    reader = read_all(chunk(choice({"tool_calls": calls})), chunk(choice({"tool_calls": "odd"})))

    assert reader.estimate_usage() == Usage(None, 100, "estimate")


def test_why_each_choice_ended_is_kept_with_the_event_that_said_so() -> None:
    """The model's name and the answer's id stand beside it, for whoever wants to know."""
    last = finish(1, "length", model="llama", id="c-1")

    reader = read_all(text("a"), finish(0), last, DONE)

    assert reader.finish_reasons == ["stop", "length"]
    assert json.loads(reader.ending)["model"] == "llama"
    assert read_all(text("a"), DONE).ending == b""
