"""One try at one upstream, driven by the calls of a connection that is not there."""

import json

import pytest

from gateway.core.errors import ShuttingDownError, UpstreamError
from gateway.core.upstream_errors import (
    UpstreamBadResponseError,
    UpstreamConnectError,
    UpstreamCutError,
    UpstreamRateLimitError,
    UpstreamReplyTooLargeError,
    UpstreamTruncatedError,
)
from gateway.relay.attempt import MAX_HELD_BYTES
from gateway.relay.pumps import OpenAIPump, TextPump
from tests.unit.relay.attempts import (
    COMMENT,
    DONE,
    SSE,
    STOP,
    Line,
    event,
    held,
    make_attempt,
    over,
    start_stream,
    text,
)

JSON = [(b"content-type", b"application/json")]
FAULT = event({"error": {"message": "Key gsk-secret is slow.", "code": 429}})


async def test_content_makes_it_ready_and_the_end_ends_it() -> None:
    """The caller's task sleeps on these two."""
    attempt, line = start_stream()
    attempt.on_body(COMMENT)
    assert not attempt.ready.done()
    attempt.on_body(text("a"))
    assert attempt.ready.done()
    assert not attempt.ended.done()
    attempt.on_body(STOP + DONE)
    attempt.on_end()

    assert await over(attempt) is None
    assert (held(attempt), attempt.last) == (COMMENT + text("a") + STOP, DONE)
    assert line.asked == ["send", "release"]


async def test_it_ends_once() -> None:
    """Whatever comes later changes nothing."""
    ends: list[object] = []
    attempt, _ = start_stream()
    attempt.when_ended = lambda ended: ends.append(ended.found.error)

    attempt.on_failed(UpstreamCutError("cut"))
    attempt.fail(ShuttingDownError("bye"))
    attempt.abandon()
    attempt.on_failed(UpstreamCutError("again"))
    attempt.on_end()

    assert [type(error) for error in ends] == [UpstreamCutError]


async def test_a_connection_that_cannot_send_is_a_failure_not_an_exception() -> None:
    """The retry rules decide, as for any other."""
    attempt, _ = make_attempt(None, Line(fails=True))
    attempt.start(b"request")

    assert type(await over(attempt)) is UpstreamConnectError


async def test_abandoned_it_ends_without_an_error_of_its_own() -> None:
    """The caller left; nobody failed."""
    attempt, line = start_stream()
    attempt.abandon()

    assert await over(attempt) is None
    assert line.asked == ["send", "release"]


@pytest.mark.parametrize("cancelled", ["ready", "ended"])
async def test_a_caller_who_left_has_cancelled_what_they_slept_on(cancelled: str) -> None:
    """A drained answer goes on to its end all the same."""
    attempt, _ = start_stream()
    getattr(attempt, cancelled).cancel()
    attempt.on_body(text("a") + STOP + DONE)
    attempt.on_end()

    assert attempt.has_ended
    assert attempt.found.error is None


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        ([text("a")], UpstreamTruncatedError),
        ([], UpstreamTruncatedError),
        ([text("a"), STOP], None),
        ([text("a"), DONE], None),
        ([text("a"), STOP[:-2]], None),
        ([text("a"), FAULT, DONE], UpstreamRateLimitError),
        ([FAULT], UpstreamRateLimitError),
        ([text("a"), FAULT[:-2]], UpstreamRateLimitError),
        ([COMMENT, text("a") + FAULT], UpstreamRateLimitError),
    ],
)
async def test_a_clean_end_of_the_framing_is_not_enough(
    stream: list[bytes], error: type[UpstreamError] | None
) -> None:
    """Before anything was sent, an error inside the stream is an error like any other."""
    attempt, _ = start_stream()
    for read in stream:
        if not attempt.has_ended:
            attempt.on_body(read)
    attempt.on_end()

    assert type(await over(attempt)) is (error or type(None))


async def test_an_error_inside_a_stream_does_not_quote_the_credential() -> None:
    """Providers echo keys (fault F11)."""
    attempt, _ = start_stream()
    attempt.on_body(FAULT)

    error = await over(attempt)

    assert error is not None
    assert "gsk-secret" not in error.public
    assert error.status == 429


async def test_text_that_cannot_be_read_is_a_failure() -> None:
    """Half the words are not the answer."""
    attempt, _ = start_stream(TextPump())
    attempt.on_body(text("a"))
    attempt.on_body(b"data: {\n\n")

    assert type(await over(attempt)) is UpstreamBadResponseError


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, JSON, b'{"choices": []}'),
        (200, [], text("a") + DONE),
        (206, SSE, text("a") + DONE),
        (200, [(b"content-type", b"text/html")], b"<html>"),
        (204, [], b""),
    ],
)
async def test_something_else_than_the_stream_asked_for_is_a_failure(
    status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Half-way between JSON and events no client can go on (fault G15)."""
    attempt, _ = make_attempt(OpenAIPump(wants_usage=True))
    attempt.start(b"request")
    attempt.on_head(status, headers)
    if body:
        attempt.on_body(body)
    attempt.on_end()

    assert type(await over(attempt)) is UpstreamBadResponseError


async def test_a_whole_reply_is_held_until_it_is_whole() -> None:
    """It leaves with its length, or not at all."""
    attempt, _ = make_attempt(None)
    attempt.start(b"request")
    attempt.on_head(200, JSON)
    attempt.on_body(b'\n\n{"usage": {"prompt_tokens": 3, ')
    assert not attempt.ready.done()
    attempt.on_body(b'"completion_tokens": 4}}')
    attempt.on_end()

    assert await over(attempt) is None
    assert attempt.found.whole is not None
    assert json.loads(attempt.found.whole.body)["usage"]["prompt_tokens"] == 3


async def test_what_was_given_up_before_it_began_is_not_sent() -> None:
    """A caller who leaves while the attempt is written ahead costs nothing (fault B14)."""
    attempt, line = make_attempt(OpenAIPump(wants_usage=True))
    attempt.abandon()
    attempt.start(b"request")

    assert await over(attempt) is None
    assert line.asked == ["abort"]  # the connection belongs to nobody any more
    assert attempt.found.count_usage(10) is None


async def test_a_reply_above_the_limit_is_a_failure() -> None:
    """One reply must not take the memory of all (fault F18)."""
    attempt, line = make_attempt(None, bytes_max=100)
    attempt.start(b"request")
    attempt.on_head(200, JSON)
    attempt.on_body(b" " * 100)
    assert not attempt.has_ended
    attempt.on_body(b" ")

    assert type(await over(attempt)) is UpstreamReplyTooLargeError
    assert line.asked == ["send", "release"]


async def test_a_stream_above_the_limit_is_cut() -> None:
    """A model in a circle would stream for an hour (fault G07)."""
    attempt, _ = start_stream(bytes_max=3 * len(text("a")))
    for _ in range(3):
        attempt.on_body(text("a"))
    assert not attempt.has_ended
    attempt.on_body(text("a"))

    assert type(await over(attempt)) is UpstreamReplyTooLargeError


async def test_the_head_leaves_when_too_much_waits_for_it() -> None:
    """A flood of comments before the first content is not held for ever."""
    attempt, _ = start_stream(bytes_max=10 * MAX_HELD_BYTES)
    while attempt.downstream.held_bytes <= MAX_HELD_BYTES:
        assert not attempt.ready.done()
        attempt.on_body(COMMENT * 1000)

    assert attempt.ready.done()


async def test_the_first_content_is_noted_once() -> None:
    """How long the first word took does not change with the second."""
    attempt, _ = start_stream()
    attempt.on_body(text("a"))
    first_at = attempt.found.first_content_at
    attempt.on_body(text("b") + text("c"))

    assert 0 < first_at == attempt.found.first_content_at


async def test_text_of_an_answer_that_is_not_whole_is_delivered_before_the_failure() -> None:
    """What came is the caller's, also when its last event was not ended."""
    attempt, _ = start_stream(TextPump())
    attempt.on_body(text("a") + text("b")[:-2])
    attempt.on_end()

    assert type(await over(attempt)) is UpstreamTruncatedError
    assert (held(attempt), attempt.last) == (b"ab", b"")


@pytest.mark.parametrize("comments", [1, 1000])
async def test_what_ends_a_stream_leaves_with_its_framing_unless_it_is_large(comments: int) -> None:
    """The server waits for a slow reader of a large piece, without a deadline."""
    attempt, _ = start_stream(bytes_max=MAX_HELD_BYTES)
    tail = DONE + b": and a word after it\n\n" * comments
    attempt.on_body(text("a") + tail)
    attempt.on_end()

    assert await over(attempt) is None
    joined = (text("a"), tail) if comments == 1 else (text("a") + tail, b"")
    assert (held(attempt), attempt.last) == joined


async def test_nothing_is_timed_before_content_flows() -> None:
    """There is no chunk to come."""
    attempt, _ = start_stream()

    assert not attempt.time_next_chunk(lambda _: None)
