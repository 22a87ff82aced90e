"""A plan is the same for the same call, and another for every other one."""

from collections.abc import Mapping

import msgspec
import pytest

from gateway.config.limit_rules import LimitSpec
from gateway.config.registry import Model, Provider
from gateway.limits.asked import Asked
from gateway.limits.plans import PLANS_MAX, Plan, Plans
from gateway.limits.rules import Rule
from tests.plugins.counters import MIDNIGHT
from tests.unit.limits.test_rules import ASKED


def make_plans(*specs: Mapping[str, object]) -> Plans:
    """Those of these rules, which are for each principal unless they say otherwise."""
    return Plans(
        [
            Rule(
                LimitSpec.model_validate({"name": f"r{number}", "on": "principal", **spec}), number
            )
            for number, spec in enumerate(specs)
        ]
    )


def keys_of(plan: Plan) -> list[str]:
    """The keys of its counters, readable."""
    return [key.replace("\x1f", "/") for part in plan.parts for _, key in part.counters]


EVERYTHING = ["principal", "key", "tenant", "group", "address", "provider", "model"]
OTHERS = {
    "principal": "bob",
    "key": "other",
    "tenant": "other",
    "groups": ("sales",),
    "client_address": "192.0.2.1",
    "provider": "mistral",
    "model": "other",
}


@pytest.mark.parametrize(("field", "value"), OTHERS.items(), ids=OTHERS)
def test_whatever_is_counted_apart_has_a_plan_of_its_own(field: str, value: object) -> None:
    """One caller's plan for another would be one caller's bill for another."""
    plans = make_plans({"on": EVERYTHING, "concurrent": 1})
    other = msgspec.structs.replace(ASKED, **{field: value})

    found = [keys_of(plans.find(asked)) for asked in (ASKED, other, ASKED)]

    assert found[0] == found[2] != found[1]
    assert found[1] == keys_of(make_plans({"on": EVERYTHING, "concurrent": 1}).find(other))


@pytest.mark.parametrize("field", ["principal", "key", "tenant", "group", "provider", "model"])
def test_whatever_is_matched_is_looked_at_again(field: str) -> None:
    """A rule for somebody else must neither catch nor spare whoever comes after them."""
    value = OTHERS["groups"] if field == "group" else (OTHERS[field],)
    other = msgspec.structs.replace(
        ASKED, **{"groups" if field == "group" else field: value if field == "group" else value[0]}
    )
    plans = make_plans({"match": {field: list(value)}, "concurrent": 1})
    before = plans.find(msgspec.structs.replace(ASKED, groups=("staff",)))

    assert [len(plans.find(asked).parts) for asked in (other, ASKED)] == [
        1,
        1 if field == "group" else 0,
    ]
    assert before.parts == []


def test_who_shows_no_key_is_somebody_else() -> None:
    """A key may be named like those without one."""
    plans = make_plans({"concurrent": 1})
    nobody = msgspec.structs.replace(ASKED, is_anonymous=True)

    assert plans.find(ASKED) is not plans.find(nobody)
    assert plans.find(ASKED) is plans.find(msgspec.structs.replace(ASKED, body_bytes=9, choices=3))


def test_addresses_make_no_plans_where_nobody_counts_them() -> None:
    """There are more of them than of anything else."""
    plans = make_plans({"concurrent": 1})
    elsewhere = msgspec.structs.replace(ASKED, client_address="192.0.2.1")

    assert plans.find(ASKED) is plans.find(elsewhere)


@pytest.mark.parametrize(
    ("spec", "is_ready"),
    [
        ({"requests_per_minute": 5}, True),
        ({"concurrent": 5}, True),
        ({"concurrent": 5, "max_body_bytes": 9}, False),
        ({"concurrent": 5, "max_output_tokens": 9}, False),
        ({"concurrent": 5, "tokens_per_minute": 9}, False),
        ({"tokens_per_month": 9}, False),
        ({"money_per_day": 9}, False),
    ],
)
def test_what_every_request_takes_is_ready(spec: dict[str, object], is_ready: object) -> None:
    """And what a request takes by its size is not."""
    part = make_plans(spec).find(ASKED).parts[0]

    assert (part.ready is not None) is is_ready
    if part.ready is not None:
        assert part.ready == part.rule.uses(part.counters, ASKED, 50, MIDNIGHT)


def test_the_shortest_cap_is_the_plans() -> None:
    """What is asked of a provider in the caller's place has to suit every rule."""
    plans = make_plans({"max_output_tokens": 9}, {"max_output_tokens": 5}, {"concurrent": 1})

    assert plans.find(ASKED).output_cap == 5
    assert make_plans({"concurrent": 1}).find(ASKED).output_cap is None


@pytest.mark.parametrize(("model", "cap"), [("m", 3), ("other", 4), ("long", 5), ("any", 5)])
def test_no_plan_asks_for_more_than_the_model_has(model: str, cap: int) -> None:
    """A provider refuses that, and what is set aside for it is in nobody's answer."""
    models = (Model(id="m", max_output=3), Model(id="long", max_output=9), Model(id="any"))
    url = "https://llm.example.org/v1"
    provider = Provider(name="groq", base_url=url, models=models, max_output=4)
    asked = msgspec.structs.replace(ASKED, model=model, asked_of=provider)

    assert make_plans({"max_output_tokens": 5}).find(asked).output_cap == cap
    assert make_plans({"concurrent": 1}).find(asked).output_cap is None


def test_made_up_models_do_not_fill_the_memory() -> None:
    """Callers may ask for any name."""
    plans = make_plans({"on": "model", "concurrent": 1})

    def ask(model: str) -> Asked:
        return msgspec.structs.replace(ASKED, model=model)

    first = plans.find(ask("m"))
    for number in range(PLANS_MAX):
        plans.find(ask(f"m{number}"))

    assert plans.find(ask("m")) is not first
    assert keys_of(plans.find(ask("m"))) == keys_of(first)
