"""Every store of the ledger does the same: SQLite and PostgreSQL, each the real one.

The rule here: a test knows the protocol alone.
"""

import asyncio
from decimal import Decimal

import msgspec
import pytest

from gateway.core.cost import make_price
from gateway.core.exchange import Outcome
from gateway.stores.errors import RowRefusedError
from gateway.stores.ledger import DIMENSIONS, LedgerStore, Spent, UsageQuery
from tests.plugins.ledgers import DAY_MS, NOON_MS, new_attempt, new_row

EVERYTHING = UsageQuery(())


async def test_what_is_saved_is_added_up(ledger_store: LedgerStore) -> None:
    """Tokens and money of every attempt, each once."""
    await ledger_store.save([new_row("p-1"), new_row("p-2")])

    (found,) = await ledger_store.fetch_usage(EVERYTHING)

    assert (found.of, found.requests, found.attempts) == ((), 2, 2)
    assert (found.tokens_in, found.tokens_out) == (20, 40)
    assert (found.tokens_cached, found.tokens_reasoning) == (6, 8)
    assert (found.cost_micros, found.provider_cost_micros) == (3_000_000, 2_800_000)
    assert (found.estimated, found.unpriced) == (0, 0)


async def test_nothing_adds_up_to_nothing(ledger_store: LedgerStore) -> None:
    """And saving nothing is no mistake."""
    await ledger_store.save([])

    (found,) = await ledger_store.fetch_usage(EVERYTHING)

    assert (found.requests, found.cost_micros) == (0, 0)
    assert await ledger_store.fetch_usage(UsageQuery(("day",))) == []


async def test_a_row_that_is_there_stays_as_it_is(ledger_store: LedgerStore) -> None:
    """A batch whose commit was not heard of is written again, whole or in part (J08, I06)."""
    first = new_row("p-1")
    await ledger_store.save([first])

    await ledger_store.save([first, new_row("p-2")])
    changed = msgspec.structs.replace(first, outcome=Outcome.LOST, attempts=())
    await ledger_store.save([changed, changed])

    found = await ledger_store.fetch_usage(UsageQuery(("outcome",)))
    assert [(row.of, row.requests, row.tokens_in) for row in found] == [(("finished",), 2, 20)]


async def test_many_write_the_same_at_once(ledger_store: LedgerStore) -> None:
    """A journal may be brought in by whoever comes first."""
    rows = [new_row(f"p-{number}") for number in range(50)]

    await asyncio.gather(*(ledger_store.save(rows) for _ in range(8)))

    (found,) = await ledger_store.fetch_usage(EVERYTHING)
    assert (found.requests, found.attempts) == (50, 50)


@pytest.mark.parametrize("count", [15, 16, 17, 40])
async def test_however_many_are_saved_each_is_what_it_was(
    ledger_store: LedgerStore, count: int
) -> None:
    """Of several in one statement, too: one twice among them, and one that is there already."""
    rows = [
        new_row(
            f"p-{number}",
            principal=f"user-{number}",
            attempts=(new_attempt(1, tokens_in=number), new_attempt(2, {}, tokens_out=number)),
        )
        for number in range(count)
    ]
    await ledger_store.save([rows[3]])

    await ledger_store.save([*rows, rows[5]])

    found = await ledger_store.fetch_usage(UsageQuery(("principal",)))
    assert {
        row.of[0]: (row.requests, row.attempts, row.tokens_in, row.tokens_out) for row in found
    } == {f"user-{number}": (1, 2, number, 20 + number) for number in range(count)}


async def test_each_attempt_counts_where_it_was_made(ledger_store: LedgerStore) -> None:
    """I09: one request, two providers: both are billed, and it is one request."""
    used = {"tokens_in": 5, "cost_micros": 7}
    failed = new_attempt(1, used, provider="first", outcome=Outcome.UPSTREAM_FAILED)
    await ledger_store.save([new_row(attempts=(failed, new_attempt(2, provider="second")))])

    (total,) = await ledger_store.fetch_usage(EVERYTHING)
    apart = await ledger_store.fetch_usage(UsageQuery(("provider",)))

    assert (total.requests, total.attempts, total.cost_micros) == (1, 2, 1_500_007)
    assert [(row.of, row.requests, row.cost_micros) for row in apart] == [
        (("first",), 1, 7),
        (("second",), 1, 1_500_000),
    ]


async def test_what_nobody_knows_is_counted_and_never_priced_at_nothing(
    ledger_store: LedgerStore,
) -> None:
    """I11: a sum that lacks a price says so."""
    guessed = {"tokens_in": 10, "tokens_source": "estimate", "cost_micros": 3}
    without_price = {"tokens_in": 10, "tokens_source": "provider"}
    await ledger_store.save(
        [
            new_row("p-1", attempts=(new_attempt(used=guessed),)),
            new_row("p-2", attempts=(new_attempt(used=without_price),)),
            new_row("p-3", attempts=(new_attempt(used={}),)),
            new_row("p-4", attempts=()),
        ]
    )

    (found,) = await ledger_store.fetch_usage(EVERYTHING)

    assert (found.requests, found.attempts) == (4, 3)
    assert (found.estimated, found.unpriced, found.cost_micros) == (1, 1, 3)


async def test_a_day_is_one_of_utc(ledger_store: LedgerStore) -> None:
    """From its first millisecond to its last; there is no rounding."""
    midnight = NOON_MS - DAY_MS // 2
    for number, at_ms in enumerate((midnight - 1, midnight, midnight + DAY_MS - 1)):
        await ledger_store.save([new_row(f"p-{number}", started_at_ms=at_ms)])

    found = await ledger_store.fetch_usage(UsageQuery(("day",)))

    assert [(row.of, row.requests) for row in found] == [(("2026-02-15",), 1), (("2026-02-16",), 2)]


async def test_a_period_has_its_beginning_and_not_its_end(ledger_store: LedgerStore) -> None:
    """Two periods side by side share nothing."""
    for number in range(4):
        await ledger_store.save([new_row(f"p-{number}", started_at_ms=NOON_MS + number)])

    (found,) = await ledger_store.fetch_usage(UsageQuery((), NOON_MS + 1, NOON_MS + 3))

    assert found.requests == 2


@pytest.mark.parametrize("word", DIMENSIONS)
async def test_everything_can_be_told_apart(ledger_store: LedgerStore, word: str) -> None:
    """By each word, and by all of them together."""
    await ledger_store.save([new_row()])
    values = {
        "principal": "alice",
        "tenant": "acme",
        "provider": "sim",
        "model": "m",
        "credential": "SIM_API_KEY",
        "outcome": "finished",
        "day": "2026-02-16",
    }

    (alone,) = await ledger_store.fetch_usage(UsageQuery((word,)))
    (together,) = await ledger_store.fetch_usage(UsageQuery(DIMENSIONS))

    assert alone.of == (values[word],)
    assert together.of == tuple(values.values())


async def test_names_are_kept_as_they_are(ledger_store: LedgerStore) -> None:
    """Whatever a token calls its owner."""
    names = ["Zoë", "' OR 1=1 --", "%s $1 ?", "日本語", "x" * 4000]
    await ledger_store.save([new_row(f"p-{name}", principal=name) for name in names])

    found = await ledger_store.fetch_usage(UsageQuery(("principal",)))

    assert {row.of[0] for row in found} == set(names)


@pytest.mark.parametrize(
    "row",
    [
        new_row("bad", bytes_in=2**63),
        new_row("bad", attempts=(new_attempt(tokens_in=2**70),)),
        new_row("bad", started_at_ms=None),
    ],
    ids=["number", "attempt", "null"],
)
async def test_a_row_that_can_never_be_kept_says_so(ledger_store: LedgerStore, row) -> None:
    """It must not be tried again for ever, with everybody else's behind it."""
    with pytest.raises(RowRefusedError) as refused:
        await ledger_store.save([new_row("good"), row, *(new_row(f"p-{n}") for n in range(40))])

    assert "alice" not in str(refused.value)
    (found,) = await ledger_store.fetch_usage(EVERYTHING)
    assert found.requests == 0
    await ledger_store.save([new_row("good")])
    (found,) = await ledger_store.fetch_usage(EVERYTHING)
    assert found.requests == 1


async def test_what_was_spent_is_told_for_each_caller_and_model(ledger_store: LedgerStore) -> None:
    """J03: budgets begin where the books say; the provider's word on a cost goes before ours."""
    ours = {"tokens_in": 7, "tokens_source": "estimate", "cost_micros": 40}
    unknown = {"tokens_out": 5, "tokens_source": "provider"}
    twice = (new_attempt(), new_attempt(2, ours))
    await ledger_store.save(
        [
            new_row("p-1"),
            new_row("p-2", attempts=twice),
            new_row(
                "p-3", principal="bob", principal_kind="jwt", attempts=(new_attempt(1, unknown),)
            ),
            new_row("p-4", model="n", attempts=()),
            new_row("p-5", started_at_ms=NOON_MS - 1),
            new_row("p-6", started_at_ms=NOON_MS + 1_000),
        ]
    )

    found = await ledger_store.fetch_spent(NOON_MS, NOON_MS + 1_000)

    assert sorted(found, key=lambda spent: spent.principal) == [
        Spent("alice", "gateway_key", "acme", "sim", "m", 30 + 30 + 7, 1_400_000 * 2 + 40),
        Spent("bob", "jwt", "acme", "sim", "m", 5, 0),
    ]


@pytest.mark.parametrize(
    ("credential_id", "is_booked"),
    [
        ("profile:alice/sim_api_key", False),
        ("models:r1", False),
        ("tenant:acme/sim_api_key", True),
        ("PROFILE_API_KEY", True),
    ],
)
async def test_what_callers_pay_themselves_is_in_no_budget(
    ledger_store: LedgerStore, credential_id: str, *, is_booked: bool
) -> None:
    """Also where the provider says how much it was; its tokens count."""
    own = {"credential_id": credential_id, "tokens_in": 7, "provider_cost_micros": 40}
    await ledger_store.save([new_row("p-1", attempts=(new_attempt(1, own),))])

    (found,) = await ledger_store.fetch_spent(NOON_MS, NOON_MS + 1_000)

    assert (found.tokens, found.micros) == (7, 40 if is_booked else 0)


async def test_what_a_host_without_credentials_costs_is_booked(ledger_store: LedgerStore) -> None:
    """A caller has sent a word of their own along; the price says that they do not pay."""
    priced = {"tokens_in": 7, "cost_micros": 40, "price_version": "prices-1"}
    row = new_attempt(1, {"credential_id": "profile:alice/sim_api_key", **priced})
    await ledger_store.save([new_row("p-1", attempts=(row,))])

    (found,) = await ledger_store.fetch_spent(NOON_MS, NOON_MS + 1_000)

    assert found.micros == 40


async def test_what_is_free_is_in_no_budget(ledger_store: LedgerStore) -> None:
    """Also where the provider says that it charges for it: while it runs nothing was taken."""
    free = make_price(Decimal(0), Decimal(0), Decimal(0))
    assert free is not None
    version = {"tokens_in": 7, "cost_micros": 0, "provider_cost_micros": 10_000}
    await ledger_store.save(
        [
            new_row("p-1", attempts=(new_attempt(1, version | {"price_version": free.version}),)),
            new_row("p-2", attempts=(new_attempt(1, version | {"price_version": "another"}),)),
        ]
    )

    (found,) = await ledger_store.fetch_spent(NOON_MS, NOON_MS + 1_000)

    assert (found.tokens, found.micros) == (14, 10_000)
