"""Listening to a stream changes nothing of it."""

import json

import pytest

from gateway.core.content import Content
from gateway.relay.heard import HeardReader
from gateway.relay.pumps import OpenAIPump, TextPump
from tests.unit.relay.test_pumps import STREAM, cut, pump_through, text


@pytest.mark.parametrize("part_bytes", [1, 1000, 1_000_000])
@pytest.mark.parametrize("kind", [OpenAIPump, TextPump])
def test_what_is_relayed_is_heard(kind: type, part_bytes: int) -> None:
    """However the reads were cut; the caller gets the same bytes as if nobody listened."""

    def make() -> OpenAIPump | TextPump:
        return TextPump() if kind is TextPump else OpenAIPump(wants_usage=False)

    content = Content("", 1_000)
    pump = make()
    pump.listen_with(HeardReader(content))

    relayed = pump_through(pump, cut(b"".join(STREAM), part_bytes))

    assert relayed == pump_through(make(), cut(b"".join(STREAM), part_bytes))
    assert "".join(content.answer) == " Hellö 😀"


def test_whole_chunks_are_heard_too() -> None:
    """Nearly every read is one."""
    content = Content("", 1_000)
    pump = OpenAIPump(wants_usage=False)
    pump.listen_with(HeardReader(content))
    event = text("Hi")
    framed = b"%x\r\n%b\r\n" % (len(event), event)

    assert pump.feed_chunk(framed) == framed
    assert pump.feed_chunk(b"garbage") is None
    assert content.answer == ["Hi"]


@pytest.mark.parametrize("second", ["Yes.", ""])
def test_each_attempt_begins_anew(second: str) -> None:
    """What one had heard that failed before anything was relayed is no part of the answer."""
    content = Content("", 1_000)
    for words in ("No, ", second):
        pump = TextPump()
        pump.listen_with(HeardReader(content))
        pump.feed(text(words) if words else b": nothing\n\n")

    assert "".join(content.answer) == second


def event_of(*choices: tuple[int, str], **fields: object) -> bytes:
    """An event with a delta of text for each choice."""
    written = [{"index": index, "delta": {"content": content}} for index, content in choices]
    return b"data: " + json.dumps({"choices": written, **fields}).encode() + b"\n\n"


def in_turns(*indexes: int) -> list[bytes]:
    """Four words of each choice, one after the other, as providers interleave them."""
    words = [("Some", "words", "of", "one"), ("What", "others", "would", "say")]
    return [event_of((index, f" {words[min(index, 1)][n]}")) for n in range(4) for index in indexes]


# What is read, and what is logged of it.
SEVERAL = {
    "each in an event of its own": (in_turns(0, 1, 2), " Some words of one"),
    "the first one comes second": (in_turns(1, 0), " Some words of one"),
    "they have numbers from 1": (in_turns(1), " What others would say"),
    "all in one event": ([event_of((1, "No"), (0, "Yes"))] * 2, "YesYes"),
    "the first one is a call": (
        [
            b'data: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]}\n\n',
            event_of((1, "No")),
        ],
        "",
    ),
    # A likeness is learned from the first event, the last index that was read is another one.
    "a read that is no like of the last": (
        [*[event_of((0, "a"))] * 3, event_of((1, "No"), x=1), *[event_of((0, "b"))] * 3],
        "aaabbb",
    ),
    "one that is, of another choice": (
        [*[event_of((1, "No"))] * 3, event_of((0, "a"), x=1), *[event_of((1, "No"))] * 3],
        "a",
    ),
}


@pytest.mark.parametrize(("events", "expected"), SEVERAL.values(), ids=SEVERAL)
@pytest.mark.parametrize("way", ["read", "read_plain", "read_framed"])
def test_of_several_choices_the_first_one_is_heard(
    events: list[bytes], expected: str, way: str
) -> None:
    """With n > 1 a log of all of them, word by word, could be read by nobody."""
    content = Content("", 1_000)
    reader = HeardReader(content)

    for event in events:
        if way == "read_framed":
            is_read = reader.read_framed(b"%x\r\n%b\r\n" % (len(event), event)) is not None
        else:
            is_read = way == "read_plain" and reader.read_plain(event)
        if not is_read:
            reader.read(event.removesuffix(b"\n\n"))

    assert "".join(content.answer) == expected
