"""A stream says the same however it is cut, and whichever way its reads go.

The rule here: events are as odd as a provider could make them, and what one event at a time gives
is what every other way has to give.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.pumps import OpenAIPump, Pump, TextPump

PUMPS: list[Callable[[], Pump]] = [
    lambda: OpenAIPump(wants_usage=True),
    lambda: OpenAIPump(wants_usage=False),
    TextPump,
]

TEXTS = st.sampled_from(
    ["a", " b", "\n", "", "é", "😀", 'x"y', "a\\b", "\x7f", "\u2028", "[DONE]", "data: ", None, 1]
)
ERRORS = st.sampled_from([None, "", {}, {"message": "m"}, "m"])
DELTAS = st.fixed_dictionaries(
    {"content": TEXTS},
    optional={
        "role": st.just("assistant"),
        "reasoning": st.sampled_from([None, "so"]),
        "tool_calls": st.just([{"function": {"arguments": "{}"}}]),
    },
)
CHOICES = st.fixed_dictionaries(
    {
        "index": st.sampled_from([0, 0, 0, 1, -1, 10**20, None, "0", 0.0]),
        "delta": DELTAS,
        "finish_reason": st.sampled_from([None, None, None, "stop", "error", ""]),
    },
    optional={"error": ERRORS},
)
CHUNKS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["c-1", "c-2"]),
        "choices": st.one_of(CHOICES.map(lambda one: [one]), st.sampled_from([[], None, "x"])),
    },
    optional={
        "usage": st.sampled_from([None, {}, {"prompt_tokens": 1, "completion_tokens": 2}]),
        "error": ERRORS,
        "x_groq": st.sampled_from([None, {"error": "m"}]),
    },
)
# Nearly all events of a stream are alike, and that is when the fast ways are taken.
ALIKE = st.sampled_from(["one", " two", "é", "😀", "", 'a"'])


def make_plain(word: str) -> bytes:
    """An event of text and nothing else."""
    choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    data = json.dumps({"id": "c-1", "choices": [choice]}, ensure_ascii=False)
    return f"data: {data}\n\n".encode()


def make_odd(chunk: dict[str, Any], kind: str, line_end: str) -> bytes:
    """An event that holds this."""
    return f"{kind}data: {json.dumps(chunk)}\n\n".replace("\n", line_end).encode()


NO_UTF8 = [
    b'data: {"choices":[{"index":0,"delta":{"content":"a"}}],%b}\n\n' % field
    for field in (b'"id":"\xff"', b'"usage":{"x":"\xff"}', b'"error":"\xff"')
] + [
    b'data: {"choices":[{"index":0,"delta":{"content":"a",%b}}]}\n\n' % field
    for field in (b'"role":"\xff"', b'"reasoning":"\xff"', b'"content":"\xff"')
]


EVENTS = st.lists(
    st.one_of(
        ALIKE.map(make_plain),
        ALIKE.map(make_plain),
        st.builds(
            make_odd,
            CHUNKS,
            st.sampled_from(["", "", "event: error\n", ": note\n"]),
            st.sampled_from(["\n", "\n", "\r\n"]),
        ),
        st.sampled_from([b": ping\n\n", b"data: [DONE]\n\n", b"data: x\n\n", b"\n"]),
        st.sampled_from(NO_UTF8),
    ),
    min_size=1,
    max_size=12,
)


def read_stream(pump: Pump, reads: Iterable[bytes], *, framed: bool) -> tuple[object, ...]:
    """What the caller gets and what is known of it, as far as a relay goes on."""
    out: list[bytes] = []
    for read in reads:
        if framed and pump.has_content and pump.is_between_events:
            chunk = pump.feed_chunk(b"%x\r\n%b\r\n" % (len(read), read))
            if chunk is not None:
                out += [chunk.split(b"\r\n", 1)[1][:-2]] if chunk else []
                continue
        out += pump.feed(read)
        if pump.fault is not None or pump.is_unreadable:
            return (b"".join(out), "broken")
    out += pump.finish()
    return (
        b"".join(out),
        pump.is_complete,
        repr(pump.fault),
        pump.usage,
        pump.answered,
        pump.content_events,
        pump.tokens_seen,
        pump.fault_was_relayed,
    )


@pytest.mark.parametrize("make", PUMPS, ids=["usage", "no usage", "text"])
@given(events=EVENTS, cuts=st.lists(st.integers(1, 300), max_size=20))
def test_an_answer_does_not_depend_on_how_it_is_read(
    make: Callable[[], Pump], events: list[bytes], cuts: list[int]
) -> None:
    """Where reads end is the network's doing, and nobody's meaning."""
    stream = b"".join(events)
    expected = read_stream(make(), events, framed=False)

    assert read_stream(make(), events, framed=True) == expected, "whole chunks"
    assert read_stream(make(), [stream], framed=False) == expected, "all at once"
    assert read_stream(make(), cut(stream, cuts), framed=True) == expected, "cut anywhere"


def cut(stream: bytes, lengths: list[int]) -> list[bytes]:
    """The stream in pieces of these lengths, and the rest."""
    pieces = []
    for length in lengths:
        pieces.append(stream[:length])
        stream = stream[length:]
    return [piece for piece in (*pieces, stream) if piece]
