"""When one try at one upstream has waited long enough, and what fills the waiting."""

import asyncio

import pytest
from typing_extensions import override

from gateway.core.clock import monotonic
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamConnectError,
    UpstreamFirstContentTimeoutError,
    UpstreamIdleTimeoutError,
    UpstreamRateLimitError,
    UpstreamRequestTimeoutError,
    UpstreamTotalTimeoutError,
)
from gateway.relay.deadlines import DONE_LINGER_S
from gateway.relay.pumps import OpenAIPump, TextPump
from tests.unit.relay.attempts import (
    COMMENT,
    DONE,
    SHORT_S,
    STOP,
    TIMEOUT_S,
    Line,
    event,
    held,
    make_attempt,
    over,
    start_stream,
    text,
)


class CommentingPump(OpenAIPump):
    """One that says when it was asked for its third comment."""

    def __init__(self) -> None:
        super().__init__(wants_usage=True)
        self.third_comment = asyncio.Event()
        self._asked = 0

    @override
    def keep_alive(self) -> bytes:
        self._asked += 1
        if self._asked == 3:
            self.third_comment.set()
        return super().keep_alive()


@pytest.mark.parametrize(
    ("clock", "error"),
    [
        ({"first_content_s": SHORT_S}, UpstreamFirstContentTimeoutError),
        ({"idle_s": SHORT_S}, UpstreamIdleTimeoutError),
        ({"total_s": SHORT_S}, UpstreamTotalTimeoutError),
    ],
)
async def test_silence_ends_it_under_the_name_of_its_deadline(
    clock: dict[str, float], error: type[UpstreamError]
) -> None:
    """Each is set by the operator, and each needs another cure."""
    attempt, line = start_stream(**clock)
    if "idle_s" in clock:
        attempt.on_body(text("a"))

    assert type(await over(attempt)) is error
    assert line.asked == ["send", "release"]


async def test_a_request_that_the_provider_does_not_take_ends_it() -> None:
    """A large prompt into a full socket."""
    attempt, _ = make_attempt(None, Line(unsent_bytes=7), request_body_s=SHORT_S)
    attempt.start(b"request")

    assert type(await over(attempt)) is UpstreamRequestTimeoutError


async def test_what_could_not_be_sent_has_no_deadlines() -> None:
    """It is over, and nothing is to come due later."""
    attempt, line = make_attempt(None, Line(fails=True), total_s=SHORT_S)
    attempt.start(b"request")
    other, _ = start_stream(total_s=2 * SHORT_S)
    await over(other)

    assert type(attempt.found.error) is UpstreamConnectError
    assert line.asked == ["release"]


async def test_what_has_been_taken_or_comes_in_pieces_is_not_late() -> None:
    """A request that is sent is no longer sending, and a reply that has begun is on its way."""
    sent, _ = make_attempt(None, request_body_s=SHORT_S, commit_s=1.5 * SHORT_S)
    begun, _ = make_attempt(None, first_content_s=2 * SHORT_S)
    blank, _ = make_attempt(None, first_content_s=2 * SHORT_S)
    for attempt, body in ((sent, b""), (begun, b'{"choices": '), (blank, b" \n")):
        attempt.start(b"request")
        attempt.on_head(200, [])
        attempt.on_body(body)

    assert type(await over(blank)) is UpstreamFirstContentTimeoutError
    assert (sent.has_ended, begun.has_ended) == (False, False)
    sent.abandon()
    begun.abandon()


@pytest.mark.parametrize("filler", [COMMENT, b"data:\n\n", event({"choices": []})])
async def test_only_content_keeps_it_alive(filler: bytes) -> None:
    """Keep-alives once came for 17 minutes (wire 1.6)."""
    attempt, _ = start_stream(idle_s=SHORT_S)
    attempt.on_body(text("a"))

    async with asyncio.timeout(TIMEOUT_S):
        while not attempt.has_ended:
            attempt.on_body(filler)
            await asyncio.wait([attempt.ended], timeout=SHORT_S / 10)

    assert type(attempt.found.error) is UpstreamIdleTimeoutError


async def test_the_head_leaves_in_time_without_content() -> None:
    """A proxy in front gives up at 60 s; the caller sees that we are at work."""
    attempt, _ = make_attempt(OpenAIPump(wants_usage=True), commit_s=SHORT_S)
    attempt.start(b"request")

    async with asyncio.timeout(TIMEOUT_S):
        await attempt.ready

    assert not attempt.has_ended
    attempt.abandon()


async def test_silence_is_filled_with_comments_once_the_head_is_out() -> None:
    """So that no proxy between us and the caller takes it for death."""
    pump = CommentingPump()
    attempt, _ = start_stream(pump, commit_s=SHORT_S, comment_every_s=SHORT_S)

    async with asyncio.timeout(TIMEOUT_S):
        await pump.third_comment.wait()
    attempt.abandon()

    assert attempt.found.error is None
    assert held(attempt).count(b": keep-alive\n\n") >= 2  # the third is about to be written


async def test_comments_begin_with_the_content_that_sends_the_head() -> None:
    """The timer was set for something that is due much later."""
    pump = CommentingPump()
    attempt, _ = start_stream(pump, comment_every_s=SHORT_S)
    attempt.on_body(text("a"))

    async with asyncio.timeout(TIMEOUT_S):
        await pump.third_comment.wait()
    attempt.abandon()


async def test_what_the_provider_says_puts_a_comment_off() -> None:
    """Its own comments are as good as ours."""
    attempt, _ = start_stream(comment_every_s=900)
    attempt.on_body(text("a"))
    before_at = attempt.found.deadlines.comment_at
    attempt.on_body(COMMENT)

    assert attempt.found.deadlines.comment_at > before_at
    attempt.abandon()


async def test_blanks_before_a_text_are_not_its_first_content() -> None:
    """They are left out; what the log says came first is what the caller saw first."""
    attempt, _ = start_stream(TextPump())
    attempt.on_body(text("\n"))
    assert (attempt.found.first_content_at, attempt.ready.done()) == (0.0, False)

    attempt.on_body(text("a"))

    assert attempt.found.first_content_at > 0
    attempt.abandon()


async def test_no_comment_is_written_into_half_an_event() -> None:
    """It would break the event for every reader."""
    attempt, _ = start_stream(commit_s=SHORT_S, comment_every_s=SHORT_S, total_s=10 * SHORT_S)
    attempt.on_body(text("a")[:20])

    await over(attempt)

    assert held(attempt) == b""


async def test_from_the_terminator_on_the_framing_has_its_seconds() -> None:
    """They are counted from the terminator, not from what follows it."""
    attempt, _ = start_stream()
    before_at = monotonic()
    attempt.on_body(text("a") + DONE)
    due_at = attempt._due_at  # noqa: SLF001 - five seconds are too long for a test
    attempt.on_body(COMMENT)

    assert before_at + DONE_LINGER_S <= due_at <= monotonic() + DONE_LINGER_S
    assert attempt._due_at == due_at  # noqa: SLF001 - as above
    attempt.abandon()


async def test_a_provider_that_stays_after_its_terminator_is_not_waited_for() -> None:
    """All of the answer has come."""
    now = asyncio.get_running_loop().time()
    attempt, _ = start_stream(idle_s=SHORT_S, done_at=now - DONE_LINGER_S + SHORT_S)
    attempt.on_body(text("a") + STOP + DONE)

    assert await over(attempt) is None
    assert attempt.last == DONE


async def test_the_words_of_an_error_are_not_waited_for_as_an_answer_is() -> None:
    """Its status has said that it failed, and its headers when to come back."""
    now = asyncio.get_running_loop().time()
    attempt, _ = start_stream()
    attempt.on_head(429, [(b"retry-after", b"7")])
    assert now <= attempt.found.deadlines.done_at < now + SHORT_S
    attempt.abandon()
    late, _ = start_stream(done_at=now - DONE_LINGER_S + SHORT_S)
    late.on_head(429, [(b"retry-after", b"7")])
    late.on_body(b'{"error":')

    error = await over(late)

    assert isinstance(error, UpstreamRateLimitError)
    assert error.headers == {"retry-after": "7"}


async def test_while_the_caller_is_slow_the_providers_silence_does_not_count() -> None:
    """We made it silent."""
    attempt, line = start_stream(idle_s=SHORT_S, total_s=5 * SHORT_S)
    attempt.on_body(text("a"))
    attempt.pause()

    assert attempt.is_paused
    assert type(await over(attempt)) is UpstreamTotalTimeoutError
    assert line.asked == ["send", "pause", "release"]


async def test_when_the_caller_has_caught_up_the_silence_counts_from_there() -> None:
    """Not from the content before the pause."""
    loop = asyncio.get_running_loop()
    attempt, line = start_stream(idle_s=SHORT_S)
    attempt.on_body(text("a"))
    attempt.pause()
    other, _ = start_stream(idle_s=2 * SHORT_S)
    other.on_body(text("a"))
    await over(other)  # by then the idle deadline of the first has passed, and did not count
    resumed_at = loop.time()
    attempt.resume()
    attempt.resume()

    assert type(await over(attempt)) is UpstreamIdleTimeoutError
    assert loop.time() - resumed_at >= SHORT_S / 2
    assert line.asked == ["send", "pause", "resume", "release"]
