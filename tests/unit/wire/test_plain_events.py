"""An event that is known by its likeness says what its JSON says."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.chunk import StreamReader
from gateway.wire.plain_events import SIZE_LINES, decode_plain, find_surroundings

BEFORE = b'data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"'
BEHIND = b'"},"finish_reason":null}],"content":"z","usage":null}\n\n'


def as_chunk(event: bytes) -> bytes:
    """The read that is one HTTP chunk around it."""
    return b"%x\r\n%b\r\n" % (len(event), event)


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 4088])
def test_the_length_of_a_read_says_its_size_line(size: int) -> None:
    """Whoever compares the first bytes with it has checked the framing."""
    read = as_chunk(b"x" * size)

    assert read.startswith(SIZE_LINES[len(read)])


@pytest.mark.parametrize("length", [0, 5, 21, 262])
def test_where_no_chunk_is_that_long_no_read_begins_so(length: int) -> None:
    """Of 15 bytes in a chunk there are 20 with its framing, of 16 there are 22."""
    assert len(SIZE_LINES[length]) > length


def test_what_stands_around_a_text_is_found() -> None:
    """Another text between them makes another event of the same kind."""
    assert find_surroundings(BEFORE + b"hello" + BEHIND, "hello") == (BEFORE, BEHIND)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (BEFORE + b"\\n" + BEHIND, "\n"),  # escaped
        (BEFORE + b"\\u00e9" + BEHIND, "é"),
        (BEFORE + b"z" + BEHIND, "z"),  # the last of two places is another's
        (b'data: {"choices":[{"delta":{"content":"index"},"index":0}]}\n\n', "index"),
        (b'data: {"choices":[{"delta":{"content":"a","x":"a"}}]}\n\n', "a"),
        (BEFORE + "\u2042".encode() + BEHIND, "\u2042"),  # the probe says nothing of itself
    ],
)
def test_a_place_that_is_not_certain_is_none(event: bytes, text: str) -> None:
    """Then the JSON is read."""
    assert decode_plain(event.removeprefix(b"data:")).choices[0].delta.content == text
    assert find_surroundings(event, text) is None


# Of what may stand between the quotes, and between the braces.
awkward = st.lists(
    st.sampled_from(
        [
            *(b'"', b"\\", b"\\n", b"\\u00e9", b"\\ud800", b"a", b" the", b"{", b"}", b",", b":"),
            *(b"\xff", b"\x00", b"\x7f", b"\n", b"\n\n", b"\r\n", b"\xed\xa0\x80"),
            *("é".encode(), "\u2028".encode(), "\u200d".encode()),
            *(b'","content":"b', b'"}}],"usage":{}', b""),
        ]
    ),
    max_size=4,
).map(b"".join)


@given(st.lists(awkward | st.text(max_size=300).map(str.encode), max_size=12), st.data())
@example([b"a", b'b","content":"c', b"\xff", b"\\", b'"'], None)
def test_a_reader_who_has_learned_sees_what_one_who_has_not_sees(
    texts: list[bytes], data: st.DataObject | None
) -> None:
    """Whatever stands where the text stood, and however the read is mangled."""
    learned = StreamReader()
    assert learned.read_framed(as_chunk(BEFORE + b"hello" + BEHIND)) is not None

    for text in texts:
        read = as_chunk(BEFORE + text + BEHIND)
        if data is not None and data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(read)))
            other = data.draw(st.sampled_from([b"", b"0", b"\0", b"\n"]))
            read = read[:at] + other + read[at + 1 :]
        fresh = StreamReader()
        before = (learned.content_events, learned.text_chars, learned.framed_bytes)
        assert learned.read_framed(read) == fresh.read_framed(read)
        after = (learned.content_events, learned.text_chars, learned.framed_bytes)
        counts = tuple(now - then for now, then in zip(after, before, strict=True))
        assert counts == (fresh.content_events, fresh.text_chars, fresh.framed_bytes)
        assert not fresh.text or learned.text == fresh.text


@pytest.mark.parametrize(
    "line", [b"ff\r\n", b"0\r\n", b"+f\r\n", b"zz\r\n", b"\0\0\0\0", b"", b"\r\n"]
)
def test_a_wrong_size_is_no_chunk_for_one_who_has_learned(line: bytes) -> None:
    """Or the caller's framing would be broken with the provider's."""
    read = as_chunk(BEFORE + b"hello" + BEHIND)
    reader = StreamReader()
    assert reader.read_framed(read) is read

    assert reader.read_framed(line + read.partition(b"\r\n")[2]) is None
    assert reader.content_events == 1


@pytest.mark.parametrize(
    "read",
    [
        b"3\r\n\0abc\0",
        b"5\r\nabcde\r\n",
        as_chunk(b"data: {\n\n" + BEFORE[7:] + b"a" + BEHIND),
        as_chunk(BEFORE + b"a" + BEHIND.replace(b",", b",\r", 1)),
        as_chunk(BEFORE + b"a" + BEHIND.replace(b"null}]", b'null,"error":{"code":429}}]')),
    ],
)
def test_one_who_has_not_learned_takes_plain_events_alone(read: bytes) -> None:
    """Two halves of an event are no event, though the JSON were whole."""
    assert StreamReader().read_framed(read) is None


def test_a_provider_whose_events_differ_is_read_as_ever() -> None:
    """Another id in each, texts of two choices in turn, and times that go on."""
    reader = StreamReader()

    for turn in range(40):
        index = turn % 2
        choice = {"index": index, "delta": {"content": f"word {turn}"}}
        event = {"id": f"c-{turn % 3}", "created": turn // 10, "choices": [choice]}
        read = as_chunk(b"data: %b\n\n" % json.dumps(event).encode())
        assert reader.read_framed(read) == read
        assert reader.text == f"word {turn}"

    assert reader.content_events == 40
