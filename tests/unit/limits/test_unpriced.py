"""Models that a budget refuses are named before somebody asks for them."""

from decimal import Decimal

import pytest

from gateway.config.anonymous import AnonymousLimitSpec
from gateway.config.limit_rules import LimitSpec
from gateway.config.provider_blocks import Model
from gateway.config.registry import Provider
from gateway.limits.unpriced import find_unpriced

FREE = {"price_in_usd_per_mtok": 0, "price_out_usd_per_mtok": 0}


def make_provider(name: str, *models: dict[str, object]) -> Provider:
    """An entry of the registry."""
    address = "https://llm.example.org/v1"
    return Provider.model_validate({"name": name, "base_url": address, "models": models})


PROVIDERS = {
    "a": make_provider("a", {"id": "priced", **FREE}, {"id": "half", "price_in_usd_per_mtok": 1}),
    "b": make_provider("b"),
    "c": make_provider("c", {"id": "priced", **FREE}),
}


def find(**fields: object) -> list[str]:
    """What is said of one rule."""
    spec = {"name": "r", "on": "everything", "money_per_day": 1, **fields}
    return find_unpriced([LimitSpec.model_validate(spec)], PROVIDERS)


def test_what_has_no_price_is_named() -> None:
    """I11: half a price is none, and a provider without models has no prices."""
    (sentence,) = find()

    assert "The rule r counts money and refuses models without a price, such as a/half, b/*; " in (
        sentence
    )


def test_the_simulator_needs_no_price() -> None:
    """What it says costs nothing."""
    rule = LimitSpec.model_validate({"name": "r", "on": "everything", "money_per_day": 1})
    demo = Provider(name="demo", base_url="simulator:")

    assert find_unpriced([rule], {"demo": demo}) == []
    listed = demo.model_copy(update={"models": (Model(id="plain"),)})
    assert find_unpriced([rule], {"demo": listed}) == []


def test_of_the_models_that_a_rule_is_for_those_are_named() -> None:
    """Others are none of its business."""
    (sentence,) = find(match={"provider": "a", "model": ["priced", "half"]})

    assert "such as a/half; " in sentence


def test_nobody_is_told_to_write_what_their_rule_cannot_have() -> None:
    """The limits of `anonymous` have no `unpriced`."""
    rule = AnonymousLimitSpec(name="anonymous", on="everything", money_per_day=Decimal(1))

    (sentence,) = find_unpriced([rule], PROVIDERS)

    assert "`unpriced: allow`" in find()[0]
    assert sentence.endswith("`price_out_usd_per_mtok` in the registry.")


@pytest.mark.parametrize(
    "fields",
    [
        {"unpriced": "allow"},
        {"money_per_day": None, "tokens_per_day": 1},
        {"match": {"provider": "c"}},
        {"match": {"provider": "a", "model": "priced"}},
    ],
)
def test_a_rule_that_refuses_nothing_of_it_is_not_mentioned(fields: dict[str, object]) -> None:
    """Nobody reads warnings that are always there."""
    assert find(**fields) == []


def test_of_many_a_few_are_named() -> None:
    """A registry may hold hundreds."""
    many = {"a": make_provider("a", *({"id": f"m{number}"} for number in range(9)))}
    spec = LimitSpec(name="r", on="everything", money_per_month=1)

    (sentence,) = find_unpriced([spec], many)

    assert "a/m0, a/m1, a/m2, a/m3, a/m4 and 4 more;" in sentence
