"""The benchmark's own eyes: what it takes for a right answer.

The rule here: every answer is fed whole and byte by byte, with the same verdict.
"""

import pytest

from bench.answers import MARK, Answer

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DOCUMENT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
DONE = b"data: [DONE]\n\n"


def framed(*pieces: bytes) -> bytes:
    """A stream of these pieces, a chunk each, ended cleanly."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return STREAM_HEAD + chunks + b"0\r\n\r\n"


def read(raw: bytes, *, step: int, wanted: int, has_done: bool = True) -> Answer:
    """An answer that was fed in steps of so many bytes."""
    answer = Answer(wanted, has_done=has_done)
    for start in range(0, len(raw), step):
        answer.feed(raw[start : start + step])
    return answer


@pytest.mark.parametrize("step", [1, 7, 1_000_000])
def test_a_whole_stream_is_right_and_every_chunk_counted(step: int) -> None:
    """A chunk counted twice would halve the cost of one."""
    answer = read(framed(MARK, b"data: " + MARK + b"\n\n", DONE), step=step, wanted=2)

    assert (answer.is_over, answer.fault, answer.chunks) == (True, "", 2)


@pytest.mark.parametrize("step", [1, 1_000_000])
@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (framed(MARK, DONE), "1 of 2 chunks"),
        (framed(MARK, MARK, MARK, DONE), "3 of 2 chunks"),
        (framed(MARK, MARK), "no [DONE]"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (DOCUMENT, "a stream that is not chunked"),
    ],
)
def test_a_stream_that_is_not_right_is_a_fault(raw: bytes, fault: str, step: int) -> None:
    """A system that drops chunks must not come out as the faster one."""
    answer = read(raw, step=step, wanted=2)

    assert (answer.is_over, answer.fault) == (True, fault)


@pytest.mark.parametrize("step", [1, 1_000_000])
def test_a_stream_without_its_last_chunk_is_not_over(step: int) -> None:
    """What is cut is found by the connection's end, so it must not look complete before."""
    answer = read(framed(MARK, DONE)[:-1], step=step, wanted=1)

    assert not answer.is_over


def test_plain_text_needs_no_done() -> None:
    """`/api/chat` has no [DONE]: its end is the framing's."""
    answer = read(framed(MARK, MARK), step=1, wanted=2, has_done=False)

    assert (answer.is_over, answer.fault) == (True, "")


@pytest.mark.parametrize("step", [1, 1_000_000])
@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (DOCUMENT, ""),
        (DOCUMENT.replace(b"200 OK", b"429 Slow"), "status 429"),
        (STREAM_HEAD, "a document without a length"),
    ],
)
def test_a_document_is_right_when_all_of_it_came(raw: bytes, fault: str, step: int) -> None:
    """An error page is small and quick, and would flatter whoever sends it."""
    answer = read(raw, step=step, wanted=0, has_done=False)

    assert (answer.is_over, answer.fault) == (True, fault)
