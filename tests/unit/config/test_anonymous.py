"""Everybody is let in within limits that were written down."""

import pytest
from pydantic import ValidationError

from gateway.config.anonymous import AnonymousAuth, AnonymousLimitSpec
from gateway.config.settings import Settings

WRITTEN = {"kind": "anonymous", "requests_per_minute": 60, "concurrent": 10}


@pytest.mark.parametrize("missing", ["requests_per_minute", "concurrent"])
def test_nobody_lets_in_everybody_without_limits(missing: str) -> None:
    """I12: behind it is the internet, and a credential that costs money."""
    written = {name: value for name, value in WRITTEN.items() if name != missing}

    with pytest.raises(ValidationError, match=r"write \{kind: anonymous, requests_per_minute: 60"):
        AnonymousAuth.model_validate(written)


def test_the_numbers_are_for_all_together_and_for_each_address() -> None:
    """Two rules, with names that answers and metrics show."""
    entry = {
        **WRITTEN,
        "tokens_per_day": 5,
        "money_per_day": "2.50",
        "per_address": {"concurrent": 2},
    }

    together, each = AnonymousAuth.model_validate(entry).rules

    assert (together.name, together.dimensions) == ("anonymous", ())
    assert (together.requests_per_minute, together.concurrent) == (60, 10)
    assert (together.tokens_per_day, str(together.money_per_day)) == (5, "2.50")
    assert (each.name, each.dimensions) == ("anonymous-address", ("address",))
    assert (each.requests_per_minute, each.concurrent) == (None, 2)
    assert isinstance(each, AnonymousLimitSpec)


def test_limits_of_an_address_that_limit_nothing_are_refused() -> None:
    """Whoever writes the word means something by it."""
    with pytest.raises(ValidationError, match="sets no limit; write one of requests_per_minute"):
        AnonymousAuth.model_validate({**WRITTEN, "per_address": {}})


def test_they_are_rules_beside_the_others() -> None:
    """And come with the entry, in whatever place it stands."""
    rule = {"name": "all", "on": "everything", "concurrent": 5}
    settings = Settings.model_validate({"auth": [WRITTEN], "limits": [rule]})

    assert [spec.name for spec in settings.rules] == ["all", "anonymous"]
    assert Settings().rules == ()


def test_everybody_is_let_in_once() -> None:
    """Of two entries the second would never be asked, and its limits would hold nobody."""
    with pytest.raises(ValidationError, match="admits everybody twice"):
        Settings.model_validate({"auth": [WRITTEN, WRITTEN]})


def test_everybody_is_let_in_last() -> None:
    """Above keys, the holder of one would be nobody, and a wrong one would be let in."""
    keys = {"kind": "gateway_key"}

    assert Settings.model_validate({"auth": [keys, WRITTEN]}).auth
    with pytest.raises(ValidationError, match="is never asked: `anonymous` above it"):
        Settings.model_validate({"auth": [WRITTEN, keys]})


def test_a_rule_has_a_name_of_its_own() -> None:
    """Two rules of one name would count in one place."""
    rule = {"name": "anonymous", "on": "everything", "concurrent": 5}
    assert Settings.model_validate({"limits": [rule]}).limits

    with pytest.raises(ValidationError, match="give it another"):
        Settings.model_validate({"auth": [WRITTEN], "limits": [rule]})
