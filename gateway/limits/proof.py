"""Proof that every rule really limits somebody, made once before anybody calls.

The rule here: a rule counts as proven if the code that will refuse callers has refused a request
that exceeded it. Each of its numbers is proven separately.
"""

from collections.abc import Callable, Iterable

import msgspec

from gateway.config.anonymous import AnonymousLimitSpec
from gateway.config.limit_rules import LimitSpec, words_of
from gateway.core.cost import Price
from gateway.core.exchange import Exchange
from gateway.limits.asked import Asked
from gateway.limits.limiter import Limiter
from gateway.limits.rules import Rule, Use
from gateway.stores.counters import CounterStore
from gateway.stores.memory_counters import MemoryCounters

# One micro per token in or out; it only matters that there is a price.
_PRICE = Price(1_000_000, 1_000_000, 1_000_000, "")
_NOON = 43_200.0


class ToothlessRuleError(ValueError):
    """A rule that refuses nobody: whoever wrote it relies on a limit that does nothing."""


def _make_store() -> CounterStore:
    return MemoryCounters(wall=lambda: _NOON)


async def prove_rules(
    specs: Iterable[LimitSpec], make_store: Callable[[], CounterStore] = _make_store
) -> None:
    """Raise ToothlessRuleError for the first rule that lets everything through."""
    for spec in specs:
        rule, asked = Rule(spec, 0), make_probe(spec)
        if not rule.fits(asked):
            raise ToothlessRuleError(
                f"The rule {spec.name} of `limits` is for no request there can be: a key is held "
                "by the principal of the same name, and its `match` names different ones."
            )
        for use in rule.uses(rule.find_counters(asked), asked, 1, _NOON):
            await _prove(spec, asked, make_store(), taken=use)
        if spec.max_body_bytes is not None:
            large = msgspec.structs.replace(asked, body_bytes=spec.max_body_bytes + 1)
            await _prove(spec, large, make_store())
        if spec.max_output_tokens is not None:
            long = msgspec.structs.replace(asked, asked_output_tokens=spec.max_output_tokens + 1)
            await _prove(spec, long, make_store())


def make_probe(spec: LimitSpec) -> Asked:
    """A request that a rule applies to, if there can be one."""
    match = spec.match
    names = words_of(match.principal) or frozenset()
    keys = words_of(match.key)
    if keys is not None:  # the holder of a key is the principal of that name
        names = (names & keys) or keys
    name = min(names, default="probe")
    return Asked(
        principal=name,
        tenant=min(words_of(match.tenant) or ["probe"]),
        groups=(min(words_of(match.group) or ["probe"]),),
        provider=min(words_of(match.provider) or ["probe"]),
        model=min(words_of(match.model) or ["probe"]),
        body_bytes=1,
        prompt_tokens=1,
        output_tokens=1,
        asked_output_tokens=None,
        choices=1,
        key=name if keys is not None else "",
        price=_PRICE,
        is_anonymous=isinstance(spec, AnonymousLimitSpec),
    )


async def _prove(
    spec: LimitSpec, asked: Asked, store: CounterStore, taken: Use | None = None
) -> None:
    """Try this request; `taken` is the use whose counter is exhausted first."""
    if taken is not None:
        # Twice the capacity: with a rate of millions, one more is within float rounding errors.
        twice = 2 * taken.charge.capacity
        too_much = msgspec.structs.replace(
            taken.charge, capacity=twice, cost=twice, is_tried_out=False
        )
        await store.admit("all", [too_much])
    exchange = Exchange("probe", 1.0, "POST", "/", "probe", ())
    grant = await Limiter([spec], store, wall=lambda: _NOON).admit(exchange, asked)
    if grant.refusal is None and spec.name not in exchange.would_refuse:
        what = "its sizes" if taken is None else taken.cap.label
        raise ToothlessRuleError(
            f"The rule {spec.name} of `limits` has let a request through that was too much for it "
            f"({what}). This is a mistake of the gateway; it does not start with a limit that is "
            "none."
        )
