"""Cutting a stream into events without touching a byte of it."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sse import MAX_HELD_BYTES, EventSplitter, Fragment, parse_event

LINE_ENDS = [b"\n", b"\r", b"\r\n"]
SMALL_LIMIT_BYTES = 16

# Text that is rich in what matters: line ends, colons, the beginnings of lines.
streams = st.lists(
    st.sampled_from(
        [b"data: a", b"data:", b":", b"x" * 30, b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf"]
    ),
    max_size=40,
).map(b"".join)
cuts = st.lists(st.integers(0, 400), max_size=20)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces, cut at these places."""
    edges = [0, *sorted(place for place in places if place < len(stream)), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def feed_all(pieces: list[bytes], splitter: EventSplitter) -> list[bytes]:
    """All events of a stream that comes in pieces."""
    return [event for piece in pieces for event in splitter.feed(piece)]


def split_as_specified(stream: bytes) -> tuple[list[bytes], bytes]:
    """Events and the unfinished rest, by the standard's line ends, read slowly."""
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+", stream)
    events, event, rest_from = [], b"", 0
    for line in lines:
        event += line
        # Our events end with a blank line; one that begins with it is a line end alone.
        if re.search(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)$", event):
            events.append(event)
            rest_from += len(event)
            event = b""
    if events and not event and stream.endswith(b"\r\n\r"):  # its LF may still come
        rest_from -= len(events.pop())
    return events, stream[rest_from:]


@given(streams, cuts, st.sampled_from([SMALL_LIMIT_BYTES, MAX_HELD_BYTES]))
def test_no_byte_is_changed_lost_or_added(stream: bytes, places: list[int], limit: int) -> None:
    """The first promise of the gateway."""
    splitter = EventSplitter(limit)

    events = feed_all(cut(stream, places), splitter)

    assert b"".join(events) + splitter.held == stream


@given(streams)
def test_a_stream_in_one_piece_is_cut_at_its_blank_lines(stream: bytes) -> None:
    """Line ends may be mixed: a comment of a proxy in a stream of a provider."""
    splitter = EventSplitter()

    assert (splitter.feed(stream), splitter.held) == split_as_specified(stream)


@given(st.lists(st.sampled_from([b"data: a", b": c", b"event: e"]), max_size=10), cuts)
def test_events_do_not_depend_on_where_reads_end(lines: list[bytes], places: list[int]) -> None:
    """TCP knows no events (without CR: there the second half of a CRLF may come late)."""
    stream = b"".join(line + b"\n\n" for line in lines)

    assert feed_all(cut(stream, places), EventSplitter()) == EventSplitter().feed(stream)


@pytest.mark.parametrize("end", LINE_ENDS)
def test_every_line_end_of_the_standard_ends_an_event(end: bytes) -> None:
    """Gemini ends lines with CRLF; the standard allows CR alone."""
    stream = b"data: a" + end + end + b"data: b" + end + end

    assert EventSplitter().feed(stream) == [b"data: a" + end + end, b"data: b" + end + end]


@pytest.mark.parametrize("end", LINE_ENDS)
def test_a_stream_byte_by_byte_has_the_same_data(end: bytes) -> None:
    """A read may end anywhere, also between CR and LF."""
    stream = b"data: a" + end + end + b"data: b" + end + end
    splitter = EventSplitter()

    events = feed_all([stream[i : i + 1] for i in range(len(stream))], splitter)

    assert [d for d in (parse_event(event)[1] for event in events) if d] == [b"a", b"b"]
    assert b"".join(events) + splitter.held == stream


def test_a_read_that_ends_between_cr_and_lf_does_not_end_the_event() -> None:
    """An error event that left without its last LF would never be dispatched by its reader."""
    splitter = EventSplitter()

    events = [splitter.feed(b"data: a\r\n\r"), splitter.feed(b"\ndata: b\r\n\r\n")]

    assert events == [[], [b"data: a\r\n\r\n", b"data: b\r\n\r\n"]]


def test_one_crlf_is_not_a_blank_line() -> None:
    """Read as two line ends it would cut events with two lines in half."""
    assert EventSplitter().feed(b"event: e\r\ndata: a\r\n") == []


def test_it_knows_when_it_stands_between_two_events() -> None:
    """A comment of our own in the middle of an event would break it."""
    splitter = EventSplitter(SMALL_LIMIT_BYTES)
    seen = [splitter.at_boundary]

    for piece in (b"data: a", b"\n\n", b"data: " + b"x" * 40, b"x" * 40, b"\n", b"\n", b":"):
        splitter.feed(piece)
        seen.append(splitter.at_boundary)

    assert seen == [True, False, True, False, False, False, True, False]


def test_a_giant_event_is_passed_on_in_fragments() -> None:
    """Base64 images come in one line; memory per stream stays bounded."""
    splitter = EventSplitter(SMALL_LIMIT_BYTES)
    stream = b"data: " + b"x" * 1000 + b"\n\ndata: b\n\n"

    held: list[int] = []
    events: list[bytes] = []
    for piece in cut(stream, list(range(0, len(stream), 7))):
        events += splitter.feed(piece)
        held.append(len(splitter.held))

    assert max(held) <= SMALL_LIMIT_BYTES
    assert b"".join(events) == stream
    assert [isinstance(event, Fragment) for event in events[:-1]] == [True] * (len(events) - 1)
    assert events[-1] == b"data: b\n\n"
    assert not isinstance(events[-1], Fragment)


def test_once_it_has_begun_a_giant_event_flows_with_each_read() -> None:
    """Nobody waits for as much again; three bytes stay, in which its end may begin."""
    splitter = EventSplitter(SMALL_LIMIT_BYTES)

    assert splitter.feed(b"data: " + b"x" * 40) == [b"data: " + b"x" * 37]
    assert splitter.feed(b"y" * 5) == [b"xxxyy"]
    assert splitter.feed(b"z") == [b"y"]


def test_an_event_up_to_the_limit_is_held_whole() -> None:
    """Only what is too large to read is not read."""
    splitter = EventSplitter(SMALL_LIMIT_BYTES)
    event = b"data: " + b"x" * (SMALL_LIMIT_BYTES - 7) + b"\n\n"

    events = feed_all([event[:-1], event[-1:]], splitter)

    assert events == [event]
    assert not isinstance(events[0], Fragment)


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize(
    ("lines", "kind", "found"),
    [
        ([b"data: a"], b"", b"a"),
        ([b"data:a"], b"", b"a"),
        ([b"data:  a "], b"", b" a "),
        ([b"data"], b"", b""),
        ([b"data:"], b"", b""),
        ([b"data: a", b"data: b"], b"", b"a\nb"),
        ([b"event: error", b"data: a"], b"error", b"a"),
        ([b"data: a", b"event: error"], b"error", b"a"),
        ([b"event:error", b"data:a"], b"error", b"a"),
        ([b": note", b"data: a", b"id: 7", b"retry: 0"], b"", b"a"),
        ([b": note"], b"", None),
        ([b""], b"", None),
        ([b"id: 7"], b"", None),
        ([b" data: a"], b"", None),
        ([b"Data: a"], b"", None),
        ([b"dataset: a"], b"", None),
        ([b"data: a: b"], b"", b"a: b"),
        ([b"\xef\xbb\xbfdata: a"], b"", b"a"),
        ([b"data: a\x0bb\x0cc\x1cd\x85e"], b"", b"a\x0bb\x0cc\x1cd\x85e"),
    ],
)
def test_an_event_is_read_as_the_standard_says(
    lines: list[bytes], kind: bytes, found: bytes | None, end: bytes
) -> None:
    """Every variant here is sent by somebody (`bedrock` puts data before the type)."""
    assert parse_event(end.join([*lines, b"", b""])) == (kind, found)


@pytest.mark.parametrize("event", [b"data: a", b"data: a\n", b"data: a\r\n", b"data: a\n\n\n"])
def test_a_last_event_without_its_blank_line_can_be_read(event: bytes) -> None:
    """Some servers end the stream right after `[DONE]`."""
    assert parse_event(event) == (b"", b"a")


@given(streams)
def test_reading_never_raises(event: bytes) -> None:
    """The bytes are a stranger's."""
    kind, found = parse_event(event)

    assert isinstance(kind, bytes)
    assert found is None or isinstance(found, bytes)
