"""Rules that limit nobody, or several times what they say, stop the start."""

import pytest

from gateway.config.limit_rules import LimitSpec
from gateway.config.registry import Model, Provider
from gateway.config.settings import ServerSpec, Settings
from gateway.config.stores import StoresSpec
from gateway.limits.checking_rules import (
    IdleRuleError,
    UnsharedCountersError,
    refuse_idle_rules,
    refuse_unshared_counters,
)
from tests.plugins.chain import make_registry


def test_a_rule_for_a_provider_that_is_not_there_stops_the_start() -> None:
    """I12: a slip in a name, and the limit is none."""
    rule = {"name": "few", "on": "everything", "concurrent": 1}
    right = Settings.model_validate({"limits": [{**rule, "match": {"provider": "groq"}}]})
    wrong = Settings.model_validate({"limits": [{**rule, "match": {"provider": ["grok"]}}]})

    refuse_idle_rules(right, make_registry())
    refuse_idle_rules(Settings(), make_registry())

    with pytest.raises(IdleRuleError, match=r"few .*a provider grok.*did you mean groq"):
        refuse_idle_rules(wrong, make_registry())


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"model": "fast"}, "write large-2"),
        ({"model": ["large-2", "one/fast"]}, "write large-2 and `provider: one`"),
        ({"model": "one/large-2"}, "write large-2 and `provider: one`"),
        ({"model": "large-2"}, ""),
        ({"model": ["large-2", "fast"]}, ""),  # an id that is not in the registry, beside it
        ({"model": "one/of-nobody"}, ""),  # callers may ask for ids that are not in the registry
        ({"model": "one/large-2", "provider": "many"}, ""),  # where it is an id
        ({"model": "two/fast"}, ""),  # as one that `many` may have
    ],
)
def test_a_rule_for_a_model_by_another_name_stops_the_start(
    match: dict[str, object], said: str
) -> None:
    """I12: rules see the id at the provider, so by its alias it would limit nobody."""
    rule = {"name": "few", "on": "everything", "concurrent": 1, "match": match}
    settings = Settings.model_validate({"limits": [rule]})
    fast, other = Model(id="large-2", alias="fast"), Model(id="two/other")
    registry = make_registry(
        **{
            name: Provider(name=name, base_url="https://llm.example.org/v1", models=(model,))
            for name, model in (("one", fast), ("two", fast), ("many", other))
        }
    )

    if said:
        with pytest.raises(IdleRuleError, match=f"few .*{said}"):
            refuse_idle_rules(settings, registry)
    else:
        refuse_idle_rules(settings, registry)


def test_a_rule_for_keys_where_nobody_shows_one_stops_the_start() -> None:
    """I12: it would limit nobody."""
    rule = {"name": "r", "on": "key", "match": {"key": "batch"}, "concurrent": 1}
    keys = {"kind": "gateway_key"}
    refuse_idle_rules(Settings.model_validate({"limits": [rule], "auth": [keys]}), make_registry())

    with pytest.raises(IdleRuleError, match="`auth` has no `gateway_key`"):
        refuse_idle_rules(Settings.model_validate({"limits": [rule]}), make_registry())


JWT = {"kind": "jwt", "issuer": "https://id.example.org", "audience": "a", "algorithms": ["RS256"]}


@pytest.mark.parametrize("word", ["tenant", "group"])
@pytest.mark.parametrize(
    ("method", "is_refused"),
    [
        (JWT, True),
        (JWT | {"claims": {"tenant": "org", "groups": "roles"}}, False),
        ({"kind": "gateway_key", "keys": {"alice": f"sha256:{64 * 'a'}"}}, True),
        ({"kind": "gateway_key"}, False),
    ],
)
def test_a_rule_for_what_no_caller_can_have_stops_the_start(
    word: str, method: dict[str, object], *, is_refused: bool
) -> None:
    """I12: `claims.groups` was forgotten, and the limit is none."""
    rule = {"name": "few", "on": "everything", "concurrent": 1, "match": {word: "staff"}}
    settings = Settings.model_validate({"limits": [rule], "auth": [method]})
    own = {"use": "my:middleware", "after": "authenticate"}  # it may know
    recognised = Settings.model_validate({"limits": [rule], "auth": [method], "middleware": [own]})

    refuse_idle_rules(recognised, make_registry())
    if is_refused:
        with pytest.raises(IdleRuleError, match=f"few .*is for a {word}, and no method of `auth`"):
            refuse_idle_rules(settings, make_registry())
    else:
        refuse_idle_rules(settings, make_registry())


@pytest.mark.parametrize(
    ("workers", "counters", "rule", "is_refused"),
    [
        (1, "memory", {"concurrent": 1}, False),
        (2, "memory", {"concurrent": 1}, True),
        (2, "memory", {"max_body_bytes": 1}, False),  # counts nothing
        (2, "redis://localhost", {"concurrent": 1}, False),
    ],
)
def test_workers_that_count_for_themselves_stop_the_start(
    workers: int, counters: str, rule: dict[str, int], *, is_refused: bool
) -> None:
    """Twice what the rule says would be let in, and nothing would show it."""
    settings = Settings(
        server=ServerSpec(workers=workers),
        stores=StoresSpec(counters=counters),
        limits=(LimitSpec(name="few", on="principal", **rule),),
    )

    if is_refused:
        with pytest.raises(UnsharedCountersError, match="counters: redis://"):
            refuse_unshared_counters(settings)
    else:
        refuse_unshared_counters(settings)
