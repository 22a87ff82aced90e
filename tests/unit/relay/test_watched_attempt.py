"""An attempt that a rule may end."""

import asyncio

from gateway.config.provider_blocks import TimeoutsSpec
from gateway.core.exchange import Exchange
from gateway.core.upstream_errors import UpstreamCutError
from gateway.core.usage import Usage
from gateway.relay.attempt import AttemptLimits
from gateway.relay.deadlines import Deadlines
from gateway.relay.pumps import OpenAIPump, Pump, TextPump
from gateway.relay.watched_attempt import WatchedAttempt
from tests.plugins.purse import Purse, make_allowance
from tests.unit.relay.attempts import DONE, SSE, STOP, Line, event, held, text


def watch(
    purse: Purse, tokens_left: int, pump: Pump | None = None
) -> tuple[WatchedAttempt, Line, Exchange]:
    """A stream whose head has come, with so much set aside for it and no more to have."""
    exchange, allowance = make_allowance(purse, held=tokens_left)
    line = Line()
    now = asyncio.get_running_loop().time()
    deadlines = Deadlines("Groq", TimeoutsSpec(), 900, now + 900, now + 900)
    limits = AttemptLimits("Groq", 10_000, 10_000, [])
    pump = pump or OpenAIPump(wants_usage=True)
    attempt = WatchedAttempt(line, pump, deadlines, limits, allowance)
    attempt.start(b"request")
    attempt.on_head(200, SSE)
    return attempt, line, exchange


async def test_it_ends_once_it_has_used_more_than_there_is(purse: Purse) -> None:
    """And the connection is let go, in the middle of the answer."""
    attempt, line, exchange = watch(purse, 2)
    for word in ("a", "b"):
        attempt.on_body(text(word))
        await purse.tasks.wait(5)
    assert not attempt.has_ended

    attempt.on_body(text("c"))

    assert attempt.has_ended
    assert line.asked == ["send", "release"]
    error = attempt.found.take_error()
    assert (error.code, exchange.refused_by) == ("token_quota_exceeded", "r")
    assert held(attempt).count(b"data: ") == 3  # what had come is the caller's
    attempt.found.note_on(exchange)
    assert exchange.usage == Usage(0, 3, "estimate")


async def test_an_answer_that_is_all_there_is_left_alone(purse: Purse) -> None:
    """What comes behind it is its count."""
    attempt, _, _ = watch(purse, 2)
    attempt.on_body(text("a") + STOP)
    attempt.on_body(event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}))
    await purse.tasks.wait(5)

    attempt.on_body(DONE)
    attempt.on_end()

    assert attempt.found.error is None


async def test_what_has_ended_asks_for_nothing(purse: Purse) -> None:
    """A retry asks anew; what failed does not ask for it."""
    attempt, _, _ = watch(purse, 2)
    attempt.on_body(text("a") + text("b") + text("c"))

    attempt.fail(UpstreamCutError("cut"))
    await purse.tasks.wait(5)

    assert purse.asked == []
    assert type(attempt.found.error) is UpstreamCutError


async def test_text_is_looked_at_in_the_same_way(purse: Purse) -> None:
    """Also what is not shown."""
    attempt, _, _ = watch(purse, 2, TextPump())
    thought = event({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]})
    for _ in range(4):
        attempt.on_body(thought)
        await purse.tasks.wait(5)

    assert attempt.has_ended
    assert held(attempt) == b""
