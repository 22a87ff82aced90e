"""Rules as they are written; what is printed of mistakes is in tests/golden/config."""

import pytest
from pydantic import ValidationError

from gateway.config.limit_rules import CAPS, LimitSpec, words_of
from gateway.config.settings import Settings


@pytest.mark.parametrize("cap", CAPS)
def test_one_number_makes_a_rule(cap: str) -> None:
    """Whatever it limits."""
    rule = LimitSpec.model_validate({"name": "r", "on": "principal", cap: 1})

    assert getattr(rule, cap) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"dry_run": True},
        {"concurrent": 0},
        {"request_burst": 5, "concurrent": 1},
        {"token_burst": 5, "requests_per_minute": 1},
        {"tokens_per_day": 1, "time_zone": "../UTC"},
        {"tokens_per_day": 1, "time_zone": ""},
        {"concurrent": 1, "on": ["everything"]},
        {"concurrent": 1, "on": ["model", "model"]},
        {"concurrent": 1, "match": {"group": []}},
    ],
)
def test_a_rule_that_would_not_do_what_it_says_is_refused(fields: dict[str, object]) -> None:
    """I12: a limit that is none is found out on the bill."""
    with pytest.raises(ValidationError):
        LimitSpec.model_validate({"name": "r", "on": "principal", **fields})


def test_one_word_and_several_are_the_same_thing() -> None:
    """Both are how people write it."""
    one = LimitSpec.model_validate({"name": "r", "on": "model", "concurrent": 1})
    several = LimitSpec.model_validate({"name": "r", "on": ["model"], "concurrent": 1})
    all_together = LimitSpec.model_validate({"name": "r", "on": "everything", "concurrent": 1})

    assert one.dimensions == several.dimensions == ("model",)
    assert all_together.dimensions == ()
    assert words_of("a") == words_of(("a",)) == {"a"}
    assert words_of(None) is None


def test_a_name_is_one_rules() -> None:
    """Which one refused?"""
    rule = {"name": "r", "on": "model", "concurrent": 1}

    with pytest.raises(ValidationError, match="second rule with the name r"):
        Settings.model_validate({"limits": [rule, rule]})


def test_a_rule_is_not_called_what_the_money_of_another_is_called() -> None:
    """Tokens of a day and millionths of a dollar would be added up in one counter."""
    money = {"name": "team", "on": "tenant", "money_per_day": 5}
    tokens = {"name": "team-money", "on": "tenant", "tokens_per_day": 5000}
    auth = [{"kind": "anonymous", "requests_per_minute": 1, "concurrent": 1, "money_per_day": 1}]
    of_anonymous = {**tokens, "name": "anonymous-money"}

    for written in (
        {"limits": [money, tokens]},
        {"limits": [tokens, money]},
        {"limits": [of_anonymous], "auth": auth},
    ):
        with pytest.raises(ValidationError, match="what the money of the rule"):
            Settings.model_validate(written)
    Settings.model_validate({"limits": [tokens, {**money, "name": "each"}]})
    Settings.model_validate({"limits": [money, {**money, "name": "teams-money"}]})
