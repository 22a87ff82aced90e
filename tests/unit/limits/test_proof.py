"""Every rule is tried before anybody calls."""

from collections.abc import Sequence

import pytest
from typing_extensions import override

from gateway.config.anonymous import AnonymousAuth
from gateway.config.limit_rules import CAPS, LimitSpec
from gateway.limits.proof import ToothlessRuleError, make_probe, prove_rules
from gateway.stores.counters import Admission, Charge, Standing
from gateway.stores.memory_counters import MemoryCounters

MATCH = {
    "principal": ["bob", "alice"],
    "tenant": "acme",
    "group": ["staff"],
    "provider": "groq",
    "model": "llama",
}


def make_spec(**fields: object) -> LimitSpec:
    """A rule named r."""
    return LimitSpec.model_validate({"name": "r", "on": "principal", **fields})


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("more", [{}, {"dry_run": True}, {"match": MATCH, "on": ["group", "key"]}])
async def test_every_number_of_a_rule_refuses_what_is_too_much(
    cap: str, more: dict[str, object]
) -> None:
    """I12: whomever it is for, and also where it is only tried out."""
    await prove_rules([make_spec(**{cap: 5, **more})])


async def test_large_numbers_take_no_longer() -> None:
    """It is one request and not ten million."""
    caps = dict.fromkeys(CAPS, 10**8)
    await prove_rules([make_spec(**caps), make_spec(**caps, name="s", on="everything")])


async def test_the_limits_of_everybody_are_tried_too() -> None:
    """They are rules like others."""
    entry = {"kind": "anonymous", "requests_per_minute": 60, "concurrent": 5}
    await prove_rules(AnonymousAuth.model_validate(entry).rules)


async def test_a_rule_for_nobody_there_can_be_stops_the_start() -> None:
    """I12: a key is held by the principal of its name."""
    fits = make_spec(match={"key": ["a", "b"], "principal": ["b", "c"]}, concurrent=1)
    assert make_probe(fits).key == make_probe(fits).principal == "b"
    await prove_rules([fits])

    with pytest.raises(ToothlessRuleError, match="The rule r of `limits` is for no request"):
        await prove_rules([make_spec(match={"key": "a", "principal": "b"}, concurrent=1)])


class OpenHandedCounters(MemoryCounters):
    """A store that refuses nobody."""

    @override
    async def admit(self, hold_id: str, charges: Sequence[Charge]) -> Admission:
        return Admission(is_admitted=True, standings=[Standing(1, 0.0, 0.0)] * len(charges))


async def test_a_rule_that_lets_everything_through_stops_the_start() -> None:
    """I12: a limiter that was made and never asked was somebody else's outage."""
    rule = make_spec(tokens_per_day=5)

    with pytest.raises(ToothlessRuleError, match=r"too much for it \(r-day\)"):
        await prove_rules([rule], OpenHandedCounters)
