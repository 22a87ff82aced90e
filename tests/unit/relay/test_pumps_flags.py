"""What a pump says of each read: the attempt looks at nothing else."""

from collections.abc import Callable

import pytest

from gateway.relay.pumps import OpenAIPump, Pump, TextPump
from tests.unit.relay.attempts import COMMENT, DONE, STOP, event, text

FAULT = event({"error": {"message": "It broke.", "code": 500}})
MAKE: list[Callable[[], Pump]] = [lambda: OpenAIPump(wants_usage=True), TextPump]

PLAIN, CONTENT, NOTHING, END = "plain", "content", "nothing", "end"


def said(pump: Pump, read: bytes) -> str:
    """What it says of this read."""
    pump.feed(read)
    if pump.is_plain:  # the others are of the last read that was not
        return PLAIN
    flags = {CONTENT: pump.saw_content, END: pump.saw_end}
    return " ".join(name for name, is_set in flags.items() if is_set) or NOTHING


def framed(read: bytes) -> bytes:
    """A read as one whole HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(read), read)


@pytest.mark.parametrize("make", MAKE)
def test_each_read_is_called_what_it_is(make: Callable[[], Pump]) -> None:
    """Content moves a deadline, an end begins one, and plain content needs no look at all."""
    for story in (
        [(COMMENT, NOTHING), (text("a"), CONTENT), (text("b"), PLAIN), (COMMENT, NOTHING)],
        [(text("a"), CONTENT), (text("b"), PLAIN), (text("c")[:9], NOTHING)],
        [(text("a"), CONTENT), (text("b")[:9], NOTHING), (text("b")[9:], CONTENT)],
        [(text("a"), CONTENT), (text("b") + STOP, CONTENT), (DONE, END)],
        [(text("a"), CONTENT), (text("b"), PLAIN), (FAULT, END)],
        [(text("a") + DONE, "content end"), (COMMENT[:3], NOTHING)],
    ):
        pump = make()
        for read, expected in story:
            assert said(pump, read) == expected, read


def test_what_comes_after_the_terminator_is_an_end_as_well() -> None:
    """On `/v1` it is held with it; in text only an error matters."""
    openai, chat = (make() for make in MAKE)
    for pump in (openai, chat):
        assert said(pump, text("a") + DONE) == "content end"

    assert [said(openai, read) for read in (COMMENT, text("b"), COMMENT[:3])] == [END, END, NOTHING]
    assert [said(chat, read) for read in (COMMENT, text("b"), FAULT)] == [NOTHING, NOTHING, END]


def test_an_error_that_is_held_behind_the_terminator_was_not_relayed() -> None:
    """Nobody has seen it, so an event of ours has to say it."""
    pump = OpenAIPump(wants_usage=True)

    assert pump.feed(text("a") + DONE + FAULT) == [text("a")]
    assert (pump.fault is not None, pump.fault_was_relayed) == (True, False)


@pytest.mark.parametrize("make", MAKE)
def test_a_chunk_may_be_taken_between_two_events_only(make: Callable[[], Pump]) -> None:
    """Half an event that waits would end up behind it, and text behind the terminator is none."""
    for reads, expected in (
        ([text("a")], True),
        ([text("a"), text("b")[:9]], False),
        ([text("a"), text("b")[:9], text("b")[9:]], True),
        ([text("a"), DONE], False),
    ):
        pump = make()
        for read in reads:
            pump.feed(read)
        assert pump.is_between_events == expected, reads


def test_chunks_are_counted_without_their_framing() -> None:
    """It is what the caller has got of the body."""
    openai, chat = (make() for make in MAKE)
    for pump in (openai, chat):
        pump.feed(text("a") + text("b"))

    reads = [text("one"), text(" two")]
    assert [openai.feed_chunk(framed(read)) for read in reads] == list(map(framed, reads))
    assert [chat.feed_chunk(framed(read)) for read in reads] == [framed(b"one"), framed(b" two")]
    assert (openai.chunk_bytes, chat.chunk_bytes) == (sum(map(len, reads)), 7)


@pytest.mark.parametrize("make", MAKE)
def test_half_an_event_behind_the_finish_reason_takes_nothing_back(
    make: Callable[[], Pump],
) -> None:
    """The answer has come; a count of its tokens that is cut short does not unsay it."""
    for reads, expected in (([text("a"), STOP], True), ([text("a")], False)):
        pump = make()
        for read in [*reads, b'data: {"choices":[],"usa']:
            pump.feed(read)
        pump.finish()

        assert pump.is_complete == expected, reads
