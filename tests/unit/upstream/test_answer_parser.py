"""One answer, from bytes to head and body; each input whole and byte by byte."""

import pytest

from gateway.upstream.answer_parser import AnswerParser
from gateway.upstream.response_head import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INTERIM_RESPONSES,
    HeadError,
)

START = b"HTTP/1.1 200 OK\r\n"
SIZED = START + b"Content-Length: 3\r\n\r\nabc"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
PARTS = pytest.mark.parametrize("part_bytes", [1, 7, 100_000])


def feed(parser: AnswerParser, answer: bytes, part_bytes: int) -> HeadError | None:
    """Feed an answer in parts, until it is refused."""
    for start in range(0, len(answer), part_bytes):
        refusal = parser.feed(answer[start : start + part_bytes])
        if refusal is not None:
            return refusal
    return None


@PARTS
@pytest.mark.parametrize(
    ("answer", "keeps_alive"),
    [
        (SIZED, True),
        (CHUNKED, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED, True),
        (INTERIM * 3 + CHUNKED, True),
        (INTERIM * MAX_INTERIM_RESPONSES + SIZED, True),
        (SIZED.replace(b"1.1", b"1.0"), False),
        (SIZED.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), False),
        (CHUNKED.replace(b"3\r\nabc", b"1;x=y\r\na\r\n2\r\nbc"), True),
        (CHUNKED.replace(b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"), True),
        (SIZED.replace(b"OK", b"\xff Gr\xfc\xdfe"), True),
        (SIZED.replace(b" OK", b""), True),
    ],
)
def test_an_answer_is_read_wherever_its_reads_end(
    answer: bytes, part_bytes: int, *, keeps_alive: bool
) -> None:
    """TCP cuts heads, chunk sizes and interim responses anywhere."""
    parser = AnswerParser()

    assert feed(parser, answer, part_bytes) is None
    assert (parser.status, parser.take_body(), parser.is_complete) == (200, b"abc", True)
    assert (parser.keeps_alive, parser.has_excess) == (keeps_alive, False)


@PARTS
@pytest.mark.parametrize(
    "answer",
    [
        b"\x16\x03\x01 no HTTP at all",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        SIZED.replace(b"1.1", b"2.0"),
        SIZED.replace(b"200", b"101"),
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + SIZED,
        SIZED.replace(b"200", b"999"),
        SIZED.replace(b"200", b"20"),
        SIZED.replace(b"3\r\n", b"3\r\nContent-Length: 4\r\n"),
        SIZED.replace(b"3\r\n", b"3\r\nContent-Length: 3\r\n"),
        SIZED.replace(b"3\r\n", b"3, 3\r\n"),
        SIZED.replace(b"3\r\n", b"-3\r\n"),
        SIZED.replace(b"3\r\n", b"+3\r\n"),
        SIZED.replace(b"3\r\n", b"3\r\nTransfer-Encoding: chunked\r\n"),
        CHUNKED.replace(b"chunked\r\n", b"chunked\r\nContent-Length: 3\r\n"),
        CHUNKED.replace(b"chunked\r\n", b"chunked\r\nTransfer-Encoding: chunked\r\n"),
        CHUNKED.replace(b"chunked", b"gzip, chunked"),
        CHUNKED.replace(b"chunked", b"identity"),
        CHUNKED.replace(b"3\r\nabc", b"zz\r\nabc"),
        CHUNKED.replace(b"3\r\nabc", b"-1\r\nabc"),
        CHUNKED.replace(b"3\r\nabc", b"f" * 20 + b"\r\nabc"),
        CHUNKED.replace(b"3\r\nabc", b"2\r\nabc"),
        START + b"X: a\r\n b\r\nContent-Length: 3\r\n\r\nabc",
        START + b"Content-Length : 3\r\n\r\nabc",
        START + b"no colon\r\n\r\n",
        START + b"X: a\x00b\r\n\r\n",
        START + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        START + b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
        INTERIM * (MAX_INTERIM_RESPONSES + 1) + SIZED,
        (INTERIM[:-2] + b"X: " + b"y" * 1000 + b"\r\n\r\n") * 100 + SIZED,
    ],
)
def test_what_is_not_http_as_we_accept_it_is_refused(answer: bytes, part_bytes: int) -> None:
    """Also where another reader would make something of it (faults F07, F08)."""
    assert feed(AnswerParser(), answer, part_bytes) is not None


@pytest.mark.parametrize("size_bytes", [9 * 1024, 60 * 1024])
def test_a_large_header_is_accepted(size_bytes: int) -> None:
    """Some providers send policies and cookies of many KiB."""
    answer = START + b"X: " + b"y" * size_bytes + b"\r\nContent-Length: 0\r\n\r\n"
    parser = AnswerParser()

    assert feed(parser, answer, 100_000) is None
    assert parser.is_complete


def test_as_many_headers_as_may_be_are_accepted() -> None:
    """The limit is the last number that is right."""
    answer = START + b"X: y\r\n" * (MAX_HEADERS - 1) + b"Content-Length: 0\r\n\r\n"

    assert AnswerParser().feed(answer) is None


@pytest.mark.parametrize(
    "excess", [b"x", b"\x00", SIZED, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTT"]
)
@pytest.mark.parametrize("answer", [SIZED, CHUNKED])
def test_bytes_after_the_end_are_noticed_and_not_part_of_the_answer(
    answer: bytes, excess: bytes
) -> None:
    """They could be somebody else's answer; the connection is not used again."""
    parser = AnswerParser()

    refusal = parser.feed(answer + excess)

    assert refusal is None
    assert (parser.take_body(), parser.status) == (b"abc", 200)
    assert (parser.is_complete, parser.has_excess) == (True, True)


@PARTS
def test_a_body_without_a_length_goes_on_until_the_connection_ends(part_bytes: int) -> None:
    """The headers decide it, before the first byte of the body."""
    parser = AnswerParser()

    assert feed(parser, START + b"\r\nabc", part_bytes) is None
    assert (parser.framed_by_eof, parser.is_complete) == (True, False)
    assert parser.take_body() == b"abc"


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_some_statuses_have_no_body(status: bytes) -> None:
    """Waiting for one would hang until the deadline."""
    parser = AnswerParser()

    assert parser.feed(b"HTTP/1.1 " + status + b" None\r\n\r\n") is None
    assert (parser.is_complete, parser.framed_by_eof) == (True, False)


def test_only_the_final_heads_headers_are_kept() -> None:
    """An interim response carries hints, a trailer comes too late to be believed."""
    parser = AnswerParser()

    parser.feed(INTERIM + CHUNKED.replace(b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"))

    assert parser.headers == [(b"transfer-encoding", b"chunked")]


def test_the_body_is_taken_once() -> None:
    """What was handed on is not kept."""
    parser = AnswerParser()
    parser.feed(CHUNKED.replace(b"3\r\nabc", b"1\r\na\r\n2\r\nbc"))

    assert [parser.take_body(), parser.take_body()] == [b"abc", b""]


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([CHUNKED[:-5]], True),  # one chunk is whole
        ([CHUNKED[:-5], b"1\r\nd\r\n"], True),
        ([CHUNKED[:-13]], True),  # the head is
        ([CHUNKED[:-14]], False),  # the head is not
        ([CHUNKED[:-10]], False),  # the size line alone
        ([CHUNKED[:-6]], False),  # half of the line end behind it
        ([CHUNKED[:-5], b"4\r\na\r\n"], False),  # a line end that is text
        ([CHUNKED[:-5], b"1"], False),
        ([CHUNKED], False),  # the end
        ([SIZED[:-3]], False),  # not in chunks at all
        ([START + b"\r\na\r\n"], False),
        ([SIZED[:-3] + b"a\r\n"], False),
    ],
)
def test_it_says_when_the_next_byte_begins_a_chunk(reads: list[bytes], *, expected: bool) -> None:
    """A chunk that is taken past this parser must be one to it as well."""
    parser = AnswerParser()
    for read in reads:
        assert parser.feed(read) is None

    assert parser.is_at_chunk(reads[-1]) is expected


def test_the_next_answer_is_read_afresh() -> None:
    """Nothing of the one before decides where it ends."""
    parser = AnswerParser()
    assert parser.feed(INTERIM * MAX_INTERIM_RESPONSES + CHUNKED) is None
    parser.take_body()
    parser.restart()
    assert (parser.is_headed, parser.is_complete, parser.has_excess) == (False, False, False)
    assert (parser.headers, parser.head_bytes, parser.is_at_chunk(b"\r\n")) == ([], 0, False)

    assert parser.feed(INTERIM + SIZED[:-3]) is None
    assert not parser.is_at_chunk(b"\r\n")
    assert parser.feed(b"abc") is None
    assert (parser.take_body(), parser.is_complete, parser.keeps_alive) == (b"abc", True, True)
