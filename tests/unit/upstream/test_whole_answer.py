"""An answer that is kept whole."""

import pytest

from gateway.core.upstream_errors import UpstreamCutError, UpstreamReplyTooLargeError
from gateway.upstream.whole_answer import WholeAnswer


async def test_what_came_is_kept() -> None:
    """In one piece, however it was cut."""
    answer = WholeAnswer("Groq", max_bytes=6)

    answer.on_head(200, [(b"a", b"b")])
    for piece in (b"ab", b"cd", b"ef"):
        answer.on_body(piece)
    assert not answer.done.done()
    answer.on_end()

    await answer.done
    assert (answer.status, bytes(answer.body)) == (200, b"abcdef")
    assert answer.headers == [(b"a", b"b")]
    assert not answer.on_chunk(b"1\r\na\r\n")


async def test_too_much_is_not_kept() -> None:
    """Whoever sends a gigabyte for a list of models gets no further."""
    answer = WholeAnswer("Groq", max_bytes=3)

    answer.on_body(b"abcd")
    answer.on_end()

    with pytest.raises(UpstreamReplyTooLargeError, match="Groq is larger than 3 bytes"):
        await answer.done
    assert not answer.body


async def test_a_cut_answer_is_none() -> None:
    """Half a list looks like a short one."""
    answer = WholeAnswer("Groq", max_bytes=9)
    answer.on_body(b"ab")

    answer.on_failed(UpstreamCutError("No."))
    answer.on_failed(UpstreamCutError("Twice."))

    with pytest.raises(UpstreamCutError, match="No"):
        await answer.done
