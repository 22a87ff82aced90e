"""What an attempt has found out: its times, its answer, and what that is billed for."""

from collections.abc import Callable

import pytest

from gateway.core.clock import monotonic
from gateway.core.errors import GatewayError, ShuttingDownError
from gateway.core.exchange import Exchange
from gateway.core.upstream_errors import UpstreamCutError
from gateway.core.usage import Usage
from gateway.relay.attempt import Attempt
from tests.unit.relay.attempts import DONE, STOP, event, make_attempt, over, start_stream, text

JSON = [(b"content-type", b"application/json")]


def end_whole(body: bytes, status: int = 200) -> Attempt:
    """An attempt for a whole reply, which came."""
    attempt, _ = make_attempt()
    attempt.start(b"request")
    attempt.on_head(status, JSON)
    attempt.on_body(body)
    attempt.on_end()
    return attempt


def end_stream(*events: bytes, error: GatewayError | None = None, leaves: bool = False) -> Attempt:
    """An attempt for a stream, which ended like this."""
    attempt, _ = start_stream()
    for one in events:
        attempt.on_body(one)
    if error is not None:
        attempt.fail(error)
    elif leaves:
        attempt.abandon()
    else:
        attempt.on_end()
    return attempt


COUNTED = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
HALF = event({"choices": [], "usage": {"prompt_tokens": 3}})
CUT = UpstreamCutError("cut")
STOPPED = ShuttingDownError("stopped")


@pytest.mark.parametrize(
    ("make", "usage"),
    [
        (lambda: end_stream(text("a"), COUNTED, STOP, DONE), Usage(3, 4, "provider")),
        (lambda: end_stream(text("abcdefgh"), STOP, DONE), Usage(100, 2, "estimate")),
        (lambda: end_stream(text("a"), HALF, STOP, DONE), Usage(3, 1, "estimate")),
        (lambda: end_stream(STOP, DONE), Usage(100, 0, "estimate")),
        # The provider failed: what it had sent by then, or nothing.
        (lambda: end_stream(text("a"), error=CUT), Usage(100, 1, "estimate")),
        (lambda: end_stream(COUNTED, error=CUT), Usage(3, 4, "provider")),
        (lambda: end_stream(error=CUT), None),
        # It was stopped: the provider has read the prompt.
        (lambda: end_stream(text("a"), leaves=True), Usage(100, 1, "estimate")),
        (lambda: end_stream(leaves=True), Usage(100, 0, "estimate")),
        (lambda: end_stream(error=STOPPED), Usage(100, 0, "estimate")),
        (lambda: end_whole(b'{"usage":{"completion_tokens":4}}'), Usage(100, 4, "estimate")),
        (lambda: end_whole(b'{"choices":[]}' + b" " * 26), Usage(100, 10, "estimate")),
        (lambda: end_whole(b'{"error":{"message":"no"}}', 400), None),
    ],
)
async def test_an_attempt_is_billed_for_what_the_provider_did(
    make: Callable[[], Attempt], usage: Usage | None
) -> None:
    """I07, I08: neither given away nor charged for nothing."""
    assert make().found.count_usage(prompt_tokens=100) == usage


async def test_what_it_found_out_is_written_down() -> None:
    """The log line and the ledger read it from the exchange."""
    attempt, _ = start_stream()
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    attempt.on_body(text("a"))
    attempt.on_body(text("b") + usage + DONE)
    attempt.on_end()
    exchange = Exchange("req-1", 0.0, "POST", "/", "127.0.0.1", ())

    attempt.found.note_on(exchange)

    assert (exchange.chunks, exchange.usage) == (2, Usage(3, 4, "provider"))
    assert exchange.upstream_request_id == "r-1"
    times = (
        exchange.upstream_started_at,
        exchange.upstream_headed_at,
        exchange.first_content_at,
        exchange.upstream_ended_at,
    )
    assert 0 < times[0] <= times[1] <= times[2] <= times[3]


async def test_gaps_between_content_are_noted_on_the_exchange() -> None:
    """What a stream felt like, in two numbers."""
    attempt, _ = start_stream()
    for piece in (text("a"), text("b"), STOP + DONE):
        attempt.on_body(piece)
    attempt.on_end()
    exchange = Exchange("id", 0.0, "POST", "/", "unix", ())

    attempt.found.note_on(exchange)

    assert exchange.chunks == 2
    span_s = exchange.last_content_at - exchange.first_content_at
    assert 0 < exchange.longest_gap_s <= span_s


async def test_a_silence_in_which_somebody_leaves_is_a_gap() -> None:
    """Or the longest ones would be those that nobody sees."""
    attempt, _ = start_stream()
    attempt.on_body(text("a"))
    attempt.abandon()
    exchange = Exchange("id", 0.0, "POST", "/", "unix", ())

    attempt.found.note_on(exchange)

    assert exchange.longest_gap_s == exchange.upstream_ended_at - exchange.last_content_at > 0


async def test_a_caller_who_does_not_keep_up_is_no_gap_of_the_providers() -> None:
    """It was ready to go on, and was not asked."""
    attempt, _ = start_stream()
    attempt.on_body(text("a"))
    attempt.pause()
    paused_at = monotonic()
    bystander, _ = start_stream(idle_s=0.02)
    bystander.on_body(text("a"))
    await over(bystander)  # a while passes
    paused_s = monotonic() - paused_at
    attempt.resume()
    attempt.on_body(text("b"))
    attempt.on_body(STOP + DONE)
    attempt.on_end()
    exchange = Exchange("id", 0.0, "POST", "/", "unix", ())

    attempt.found.note_on(exchange)

    assert exchange.held_back_s >= paused_s
    span_s = exchange.last_content_at - exchange.first_content_at - exchange.held_back_s
    assert 0 < exchange.longest_gap_s <= span_s < paused_s


async def test_a_caller_who_never_catches_up_is_no_gap_of_the_providers() -> None:
    """They were cut while the provider was held back for them."""
    attempt, _ = start_stream()
    attempt.on_body(text("a") + text("b"))
    attempt.pause()
    attempt.abandon()
    exchange = Exchange("id", 0.0, "POST", "/", "unix", ())

    attempt.found.note_on(exchange)

    assert exchange.last_content_at == exchange.upstream_ended_at
    assert exchange.held_back_s == exchange.upstream_ended_at - exchange.first_content_at > 0
    assert exchange.longest_gap_s == 0
