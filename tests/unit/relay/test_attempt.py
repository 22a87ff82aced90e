"""One try at one upstream, driven by the calls of a connection that is not there."""

import asyncio
import json
import math

import pytest
from typing_extensions import override

from gateway.config.provider_blocks import TimeoutsSpec
from gateway.core.errors import ShuttingDownError, UpstreamError
from gateway.core.exchange import Exchange
from gateway.core.upstream_errors import (
    UpstreamBadResponseError,
    UpstreamConnectError,
    UpstreamCutError,
    UpstreamFirstContentTimeoutError,
    UpstreamIdleTimeoutError,
    UpstreamRateLimitError,
    UpstreamReplyTooLargeError,
    UpstreamRequestTimeoutError,
    UpstreamTotalTimeoutError,
    UpstreamTruncatedError,
)
from gateway.core.usage import Usage
from gateway.relay.attempt import MAX_HELD_BYTES, Attempt, AttemptLimits
from gateway.relay.deadlines import DONE_LINGER_S, Deadlines
from gateway.relay.pumps import OpenAIPump, Pump, TextPump

TIMEOUT_S = 5
SHORT_S = 0.02
SSE = [(b"content-type", b"text/event-stream"), (b"x-request-id", b"r-1")]
JSON = [(b"content-type", b"application/json")]
DONE = b"data: [DONE]\n\n"
COMMENT = b": wait\n\n"


def event(value: object) -> bytes:
    """One event with this data."""
    return f"data: {json.dumps(value)}\n\n".encode()


def text(content: str) -> bytes:
    """One event with a delta of text."""
    return event({"choices": [{"index": 0, "delta": {"content": content}}]})


STOP = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
FAULT = event({"error": {"message": "Key gsk-secret is slow.", "code": 429}})


class Line:
    """A connection that notes what is asked of it."""

    def __init__(self, *, fails: bool = False, unsent_bytes: int = 0) -> None:
        self.asked: list[str] = []
        self.unsent_bytes = unsent_bytes
        self._fails = fails

    def send(self, request: bytes, receiver: object) -> None:
        """Note it, or fail."""
        assert request
        assert receiver
        if self._fails:
            raise UpstreamConnectError("closed")
        self.asked.append("send")

    def pause(self) -> None:
        """Note it."""
        self.asked.append("pause")

    def resume(self) -> None:
        """Note it."""
        self.asked.append("resume")

    def release(self, _: object) -> None:
        """Note it."""
        self.asked.append("release")


def make_attempt(
    pump: Pump | None = None, line: Line | None = None, *, bytes_max: int = 10_000, **clock: float
) -> tuple[Attempt, Line]:
    """An attempt on such a connection, its deadlines far away."""
    line = line or Line()
    now = asyncio.get_running_loop().time()
    spec = TimeoutsSpec(
        request_body_s=clock.pop("request_body_s", 900), idle_s=clock.pop("idle_s", 900)
    )
    total_at = now + clock.pop("total_s", 900)
    commit_at = now + clock.pop("commit_s", math.inf)
    first_content_s = clock.pop("first_content_s", 900)
    deadlines = Deadlines("Groq", spec, first_content_s, total_at, commit_at, **clock)
    limits = AttemptLimits("Groq", bytes_max, bytes_max, ["gsk-secret"])
    return Attempt(line, pump, deadlines, limits), line


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


def start_stream(pump: Pump | None = None, **fields: float) -> tuple[Attempt, Line]:
    """A stream whose head has come."""
    attempt, line = make_attempt(pump or OpenAIPump(wants_usage=True), **fields)
    attempt.start(b"request")
    attempt.on_head(200, SSE)
    return attempt, line


def held(attempt: Attempt) -> bytes:
    """What would go downstream."""
    return b"".join(attempt.downstream._held)  # noqa: SLF001 - the caller's side is not open here


async def over(attempt: Attempt) -> UpstreamError | None:
    """Wait for its end; its error."""
    async with asyncio.timeout(TIMEOUT_S):
        await attempt.ended
    return attempt.error


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
    attempt.when_ended = lambda ended: ends.append(ended.error)

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
    assert attempt.error is None


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
    assert attempt.whole is not None
    assert json.loads(attempt.whole.body)["usage"]["prompt_tokens"] == 3


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


@pytest.mark.parametrize("filler", [COMMENT, b"data:\n\n", event({"choices": []})])
async def test_only_content_keeps_it_alive(filler: bytes) -> None:
    """Keep-alives once came for 17 minutes (wire 1.6)."""
    attempt, _ = start_stream(idle_s=SHORT_S)
    attempt.on_body(text("a"))

    async with asyncio.timeout(TIMEOUT_S):
        while not attempt.has_ended:
            attempt.on_body(filler)
            await asyncio.wait([attempt.ended], timeout=SHORT_S / 10)

    assert type(attempt.error) is UpstreamIdleTimeoutError


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

    assert attempt.error is None
    assert held(attempt).count(b": keep-alive\n\n") >= 2  # the third is about to be written


async def test_blanks_before_a_text_are_not_its_first_content() -> None:
    """They are left out; what the log says came first is what the caller saw first."""
    attempt, _ = start_stream(TextPump())
    attempt.on_body(text("\n"))
    assert (attempt.times.first_content_at, attempt.ready.done()) == (0.0, False)

    attempt.on_body(text("a"))

    assert attempt.times.first_content_at > 0
    attempt.abandon()


async def test_no_comment_is_written_into_half_an_event() -> None:
    """It would break the event for every reader."""
    attempt, _ = start_stream(commit_s=SHORT_S, comment_every_s=SHORT_S, total_s=10 * SHORT_S)
    attempt.on_body(text("a")[:20])

    await over(attempt)

    assert held(attempt) == b""


async def test_a_provider_that_stays_after_its_terminator_is_not_waited_for() -> None:
    """All of the answer has come."""
    now = asyncio.get_running_loop().time()
    attempt, _ = start_stream(idle_s=SHORT_S, done_at=now - DONE_LINGER_S + SHORT_S)
    attempt.on_body(text("a") + STOP + DONE)

    assert await over(attempt) is None
    assert attempt.last == DONE


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


async def test_what_it_found_out_is_written_down() -> None:
    """The log line and the ledger read it from the exchange."""
    attempt, _ = start_stream()
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    attempt.on_body(text("a"))
    attempt.on_body(text("b") + usage + DONE)
    attempt.on_end()
    exchange = Exchange("req-1", 0.0, "POST", "/", "127.0.0.1", ())

    attempt.note_on(exchange)

    assert (exchange.chunks, exchange.usage) == (2, Usage(3, 4, "provider"))
    assert exchange.upstream_request_id == "r-1"
    times = (
        exchange.upstream_started_at,
        exchange.upstream_headed_at,
        exchange.first_content_at,
        exchange.upstream_ended_at,
    )
    assert 0 < times[0] <= times[1] <= times[2] <= times[3]
