"""What a stream may use of what its rules have left."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.core.errors import GatewayError, OverloadedError
from gateway.core.exchange import UNSEEN_TOKENS, Exchange
from gateway.core.usage import Usage
from gateway.limits.allowance import AHEAD_TOKENS, Allowance
from gateway.stores.counters import Admission, Charge, Standing, Used
from tests.plugins.counters import MIDNIGHT
from tests.plugins.purse import Purse, make_allowance, make_share

WAIT_S = 5


class Answer:
    """An answer of which the test says how much has come."""

    def __init__(self) -> None:
        self.counted: Usage | None = None
        self.tokens_seen = 0
        self.is_complete = False


class Stream:
    """A stream that is watched."""

    def __init__(self, purse: Purse, held: int, **rule: object) -> None:
        self.purse = purse
        self.exchange, self.allowance = make_allowance(purse, held, **rule)
        self.answer = Answer()
        self.stopped: list[GatewayError] = []
        self.allowance.watch(self.answer, self.stopped.append)

    async def grow(self, tokens: int, **fields: Any) -> None:
        """So much more has come, in one piece."""
        self.answer.tokens_seen += tokens
        for name, value in fields.items():
            setattr(self.answer, name, value)
        self.allowance.look()
        await self.purse.tasks.wait(WAIT_S)


async def test_more_is_taken_before_the_last_is_used(purse: Purse) -> None:
    """So that a stream whose rules have enough never waits."""
    purse.there = 5_000
    stream = Stream(purse, 100)

    await stream.grow(100 - AHEAD_TOKENS)
    assert purse.asked == []
    await stream.grow(1)
    assert purse.asked == [1_024]
    for _ in range(1_000):
        await stream.grow(1)

    assert purse.asked == [1_024]
    assert stream.stopped == []


async def test_what_there_is_is_taken_to_the_last(purse: Purse) -> None:
    """Not a step or nothing."""
    purse.there = 70
    stream = Stream(purse, 100)

    for _ in range(170):
        await stream.grow(1)
        assert stream.stopped == []
    await stream.grow(1)

    assert purse.there == 0
    assert [error.code for error in stream.stopped] == ["token_quota_exceeded"]
    assert stream.exchange.refused_by == "r"
    assert str(stream.stopped[0]) == (
        "The answer was stopped: it has used what the rule r had left of tokens for each "
        "principal; the next day begins at 2026-06-02 00:00 (UTC)."
    )


async def test_crumbs_are_not_picked_up(purse: Purse) -> None:
    """A rate that is used up makes some all the time: an hour's stream would hold thousands."""
    purse.there = AHEAD_TOKENS - 1
    stream = Stream(purse, 100)

    for _ in range(101):
        await stream.grow(1)

    assert len(stream.stopped) == 1
    assert purse.there == AHEAD_TOKENS - 1
    assert len(purse.asked) == 1


async def test_it_is_stopped_also_when_nothing_more_comes(purse: Purse) -> None:
    """A piece that was far too much is noticed when the store has answered, not at the next one."""
    stream = Stream(purse, 100)

    await stream.grow(5_000)

    assert len(stream.stopped) == 1


async def test_a_large_piece_takes_what_it_needs_at_once(purse: Purse) -> None:
    """Not step by step."""
    purse.there = 100_000
    stream = Stream(purse, 100)

    await stream.grow(50_000)

    assert purse.asked == [49_900, 1_024]
    assert stream.stopped == []


async def test_while_the_store_is_asked_it_is_asked_once(purse: Purse) -> None:
    """Hundreds of pieces come while a store in another process answers."""
    purse.there = 5_000
    purse.gate.clear()
    stream = Stream(purse, 100)
    for _ in range(500):
        stream.answer.tokens_seen += 1
        stream.allowance.look()
        await asyncio.sleep(0)
    assert len(purse.tasks) == 1
    assert stream.stopped == []

    purse.gate.set()
    await purse.tasks.wait(WAIT_S)

    assert stream.stopped == []
    assert sum(purse.asked) >= 400


async def test_who_said_how_long_it_gets_asks_only_beyond_that(purse: Purse) -> None:
    """All of it was set aside."""
    share = make_share(150, output=50)
    exchange = Exchange("r1", 1.0, "POST", "/", "unix", ())
    allowance = Allowance(exchange, [share], purse.take, tasks=purse.tasks, wall=lambda: MIDNIGHT)
    answer, stopped = Answer(), list[GatewayError]()
    allowance.watch(answer, stopped.append)
    for tokens in range(151):
        answer.tokens_seen = tokens
        allowance.look()
        await purse.tasks.wait(WAIT_S)
    assert (purse.asked, stopped) == ([], [])

    answer.tokens_seen = 151
    allowance.look()
    await purse.tasks.wait(WAIT_S)

    assert len(stopped) == 1


async def test_the_providers_count_is_believed_as_it_comes(purse: Purse) -> None:
    """And what comes after it is counted on top."""
    stream = Stream(purse, 100)

    await stream.grow(90, counted=Usage(0, 10, "provider"))
    await stream.grow(90)
    assert stream.stopped == []
    await stream.grow(1)

    assert len(stream.stopped) == 1


async def test_no_more_is_held_for_a_count_of_a_callers_own_than_can_be(purse: Purse) -> None:
    """One who says of their answer what they like would hold what a rule has for everybody."""
    purse.there = 900_000_000
    stream = Stream(purse, 100)
    stream.exchange.is_at_callers_address = True

    await stream.grow(1, counted=Usage(0, 800_000_000, "provider"))

    assert sum(purse.asked) < UNSEEN_TOKENS + 2 * 1_024
    assert stream.stopped == []


async def test_what_is_all_there_is_not_stopped(purse: Purse) -> None:
    """There is nothing left to save."""
    stream = Stream(purse, 100)

    await stream.grow(50, counted=Usage(500, 500, "provider"), is_complete=True)

    assert stream.stopped == []


async def test_what_an_earlier_attempt_used_counts(purse: Purse) -> None:
    """I09: both are billed, and a refusal holds for both."""
    stream = Stream(purse, 100)
    stream.exchange.note_usage(Usage(60, 20, "provider"))

    await stream.grow(20)
    assert stream.stopped == []
    await stream.grow(1)

    assert len(stream.stopped) == 1


async def test_money_is_measured_at_the_price_of_the_model(purse: Purse) -> None:
    """15 micros a token; and what the provider says it charges comes before that."""
    stream = Stream(purse, 1_500, tokens_per_day=None, money_per_day=1)

    await stream.grow(100)
    assert purse.asked[0] == 1_024 * 15
    assert stream.stopped == []
    await stream.grow(0, counted=Usage(0, 100, "provider", provider_cost_micros=1_400))
    await stream.grow(6)
    assert stream.stopped == []
    await stream.grow(1)

    assert [error.code for error in stream.stopped] == ["budget_exceeded"]


async def test_a_rule_that_is_tried_out_stops_nothing(purse: Purse) -> None:
    """It is noted once it would have, and then nobody looks any more."""
    stream = Stream(purse, 100, dry_run=True)

    await stream.grow(100)
    assert stream.exchange.would_refuse == ()
    for _ in range(5):
        await stream.grow(1)

    assert stream.exchange.would_refuse == ("r",)
    assert stream.stopped == []
    assert len(purse.asked) == 1


async def test_a_store_that_refuses_in_its_own_words_is_quoted(purse: Purse) -> None:
    """Once there is nothing left of what was set aside."""
    purse.refuses = OverloadedError("The store does not answer.")
    stream = Stream(purse, 100)

    await stream.grow(100)
    assert stream.stopped == []
    await stream.grow(1)

    assert stream.stopped == [purse.refuses]


async def test_what_one_rule_refuses_is_taken_of_none(purse: Purse) -> None:
    """I03: the store took nothing, so the other rule's stream may not use it."""
    first, second = make_share(100), make_share(100)
    charge = msgspec.structs.replace(second.use.charge, rule=1)
    second.use = msgspec.structs.replace(second.use, charge=charge)
    standings = [Standing(5_000, 9.0, 0.0), Standing(0, 9.0, 1.0)]

    asked = []

    async def take(charges: Sequence[Charge]) -> Admission:
        asked.append(len(charges))
        return Admission(len(charges) == 1, standings[: len(charges)])

    exchange = Exchange("r1", 1.0, "POST", "/", "unix", ())
    allowance = Allowance(exchange, [first, second], take, tasks=purse.tasks, wall=lambda: MIDNIGHT)
    answer = Answer()
    answer.tokens_seen = 100
    allowance.watch(answer, lambda _: None)
    allowance.look()
    await purse.tasks.wait(WAIT_S)

    assert asked == [2, 1]  # for both, and then for the one that was not refused
    assert (first.held, second.held) == (100 + first.step, 100)


async def test_who_has_left_asks_for_nothing(purse: Purse) -> None:
    """I05: what would come now nobody would give back."""
    purse.gate.clear()
    stream = Stream(purse, 100)
    stream.answer.tokens_seen = 200
    stream.allowance.look()
    await asyncio.sleep(0)

    stream.allowance.leave()
    purse.gate.set()
    await purse.tasks.wait(WAIT_S)

    assert stream.stopped == []
    assert len(purse.asked) == 1


async def test_a_plain_piece_is_not_measured(purse: Purse) -> None:
    """Until something can have happened, a look is two comparisons."""
    stream = Stream(purse, 100_000)
    await stream.grow(1)
    measured = stream.allowance._look_at  # noqa: SLF001 - what is saved has no other sign

    assert measured == 100_000 - AHEAD_TOKENS


def test_used_is_what_a_counter_books() -> None:
    """Tokens or micros."""
    assert make_share(100).left(Used(tokens=30, micros=99)) == 70
