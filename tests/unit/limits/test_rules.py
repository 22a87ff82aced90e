"""Which rules are for a request, and what it takes of them."""

from decimal import Decimal

import msgspec
import pytest

from gateway.config.anonymous import AnonymousAuth
from gateway.config.limit_rules import LimitSpec
from gateway.core.cost import make_price
from gateway.limits.asked import Asked
from gateway.limits.rules import Rule
from gateway.stores.counters import Charge, CounterKind
from tests.plugins.counters import MIDNIGHT
from tests.plugins.purse import ASKED


def make_rule(**fields: object) -> Rule:
    """A rule named r."""
    return Rule(LimitSpec.model_validate({"name": "r", "on": "principal", **fields}), 0)


def keys_of(rule: Rule, asked: Asked = ASKED) -> list[str]:
    """The keys of the counters, readable."""
    return [key.replace("\x1f", "/") for _, key in rule.find_counters(asked)]


def charges_of(rule: Rule, asked: Asked, now: float = MIDNIGHT) -> list[Charge]:
    """What a request for 50 tokens at most takes."""
    return [use.charge for use in rule.uses(rule.find_counters(asked), asked, 50, now)]


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"principal": "alice"}, True),
        ({"principal": ["bob", "alice"], "provider": "groq"}, True),
        ({"principal": "alice", "provider": "mistral"}, False),
        ({"tenant": "other"}, False),
        ({"group": "sales"}, True),
        ({"group": ["nobody"]}, False),
        ({"model": "llama"}, True),
        ({"key": "alice"}, True),
        ({"key": "bob"}, False),
    ],
)
def test_all_that_is_written_has_to_fit(match: dict[str, object], fits: object) -> None:
    """A rule for some must not catch others."""
    assert make_rule(match=match, concurrent=1).fits(ASKED) is fits


@pytest.mark.parametrize(
    ("on", "keys"),
    [
        ("everything", ["r-concurrent"]),
        ("principal", ["r-concurrent/alice"]),
        (["principal", "model"], ["r-concurrent/alice/llama"]),
        ("group", ["r-concurrent/staff", "r-concurrent/sales"]),
        ("key", ["r-concurrent/alice"]),
        (["address", "model"], ["r-concurrent/2001:db8::/64/llama"]),
        (["group", "provider"], ["r-concurrent/staff/groq", "r-concurrent/sales/groq"]),
    ],
)
def test_what_is_counted_apart_has_a_counter_of_its_own(on: object, keys: list[str]) -> None:
    """In several groups, one counts in each."""
    assert keys_of(make_rule(on=on, concurrent=1)) == keys


def test_only_groups_that_the_rule_is_for_count() -> None:
    """A rule for sales is not about staff."""
    rule = make_rule(on="group", match={"group": "sales"}, concurrent=1)

    assert keys_of(rule) == ["r-concurrent/sales"]


def test_a_group_that_is_named_twice_counts_once() -> None:
    """I01: a counter is checked for each charge alone."""
    twice = msgspec.structs.replace(ASKED, groups=("staff", "staff"))

    assert keys_of(make_rule(on="group", concurrent=1), twice) == ["r-concurrent/staff"]


def test_who_has_no_group_and_no_tenant_is_counted_all_the_same() -> None:
    """I12: otherwise the rule is passed by having none."""
    stranger = msgspec.structs.replace(ASKED, tenant="", groups=(), key="")

    assert keys_of(make_rule(on="group", concurrent=1), stranger) == ["r-concurrent/"]
    assert keys_of(make_rule(on="tenant", concurrent=1), stranger) == ["r-concurrent/"]
    assert keys_of(make_rule(on="key", concurrent=1), stranger) == ["r-concurrent/"]


def test_each_number_is_a_counter() -> None:
    """With its burst, its rate and its window."""
    rule = make_rule(
        requests_per_minute=60,
        request_burst=5,
        tokens_per_minute=6_000,
        concurrent=2,
        tokens_per_day=10_000,
        tokens_per_month=100_000,
    )

    charges = charges_of(rule, ASKED, MIDNIGHT + 5)

    assert [(c.kind, c.capacity, c.cost, c.per_s) for c in charges[:3]] == [
        (CounterKind.REQUESTS, 5, 1, 1.0),
        (CounterKind.TOKENS, 6_000, 150, 100.0),
        (CounterKind.PLACES, 2, 1, 2 / 60),
    ]
    day, month = charges[3:]
    assert (day.starts_at, day.ends_at) == (MIDNIGHT, MIDNIGHT + 86_400)
    assert (month.starts_at, month.ends_at) == (MIDNIGHT, MIDNIGHT + 30 * 86_400)
    assert len({charge.key for charge in charges}) == 5


@pytest.mark.parametrize(
    ("output", "choices", "capacity", "tokens"),
    [
        (50, 1, 1_000, 150),
        (50, 4, 1_000, 300),
        (5_000, 1, 1_000, 5_100),  # asked for: told that it never fits
        (None, 1, 10_000, 1_124),
        (None, 1, 1_000, 1_000),  # guessed: no more than there is
        (None, 1, 60, 100),
    ],
)
def test_a_guess_refuses_nobody_who_could_be_let_in(
    output: int | None, choices: int, capacity: int, tokens: int
) -> None:
    """I15: what the caller asks for is held to the limit, what we suppose is fitted to it."""
    asked = msgspec.structs.replace(ASKED, choices=choices)

    assert make_rule(concurrent=1).needed_tokens(asked, output, capacity) == tokens


def test_money_is_a_counter_of_micros() -> None:
    """100 tokens at 3 dollars for a million, and 50 at 15."""
    rule = make_rule(money_per_day=5, money_per_month="2.50", tokens_per_day=10_000)

    charges = charges_of(rule, ASKED, MIDNIGHT + 5)

    assert [(c.kind, c.capacity, c.cost) for c in charges] == [
        (CounterKind.QUOTA, 10_000, 150),
        (CounterKind.MONEY, 5_000_000, 1_050),
        (CounterKind.MONEY, 2_500_000, 1_050),
    ]
    assert (charges[1].starts_at, charges[1].ends_at) == (MIDNIGHT, MIDNIGHT + 86_400)
    assert (charges[2].starts_at, charges[2].ends_at) == (MIDNIGHT, MIDNIGHT + 30 * 86_400)
    assert len({charge.key for charge in charges}) == 3


@pytest.mark.parametrize(
    ("output", "choices", "capacity", "micros"),
    [
        (50, 1, 10_000, 1_050),
        (50, 4, 10_000, 3_300),
        (5_000, 1, 10_000, 75_300),  # asked for: told that it never fits
        (None, 1, 100_000, 15_660),
        (None, 1, 10_000, 10_000),  # guessed: no more than there is
        (None, 1, 60, 300),
    ],
)
def test_money_is_set_aside_like_tokens(
    output: int | None, choices: int, capacity: int, micros: int
) -> None:
    """I15: at the price of the model."""
    asked = msgspec.structs.replace(ASKED, choices=choices)

    assert make_rule(concurrent=1).needed_micros(asked, output, capacity) == micros


def test_where_there_is_no_price_the_least_is_set_aside() -> None:
    """A rule with `unpriced: allow` books what the provider says, and refuses when it is spent."""
    rule = make_rule(money_per_day=5, unpriced="allow")
    unpriced = msgspec.structs.replace(ASKED, price=None)

    assert [charge.cost for charge in charges_of(rule, unpriced)] == [1]
    assert not rule.refuses_unpriced
    assert make_rule(money_per_day=5).refuses_unpriced


def test_a_model_that_is_free_takes_no_money() -> None:
    """It may be asked for when the budget is spent."""
    free = msgspec.structs.replace(ASKED, price=make_price(Decimal(0), Decimal(0)))

    assert charges_of(make_rule(money_per_day=5), free) == []


def test_the_limits_of_those_who_show_nothing_are_for_nobody_else() -> None:
    """Also where somebody's name is `anonymous`."""
    entry = {"kind": "anonymous", "requests_per_minute": 1, "concurrent": 1}
    (spec,) = AnonymousAuth.model_validate(entry).rules
    named = msgspec.structs.replace(ASKED, principal="anonymous")

    assert not Rule(spec, 0).fits(named)
    assert Rule(spec, 0).fits(msgspec.structs.replace(named, is_anonymous=True))
