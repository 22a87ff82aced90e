"""Models that a budget will refuse because nobody has written what they cost.

The rule here: it is said before somebody is refused; it is no mistake, a caller may have others.
"""

from collections.abc import Iterable, Mapping

from gateway.config.anonymous import AnonymousLimitSpec
from gateway.config.limit_rules import LimitSpec, words_of
from gateway.config.registry import Provider

SHOWN = 5


def find_unpriced(specs: Iterable[LimitSpec], providers: Mapping[str, Provider]) -> list[str]:
    """A sentence for each rule about money under which models of the registry are refused."""
    sentences = []
    for spec in specs:
        if not spec.counts_money or spec.unpriced == "allow":
            continue
        names = sorted(_names_of(spec, providers))
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            # The limits of `anonymous` have no such field.
            is_anonymous = isinstance(spec, AnonymousLimitSpec)
            otherwise = "" if is_anonymous else ", or `unpriced: allow` in the rule"
            sentences.append(
                f"The rule {spec.name} counts money and refuses models without a price, such as "
                f"{', '.join(names[:SHOWN])}{more}; write `price_in_usd_per_mtok` and "
                f"`price_out_usd_per_mtok` in the registry{otherwise}."
            )
    return sentences


def _names_of(spec: LimitSpec, providers: Mapping[str, Provider]) -> Iterable[str]:
    """What of the registry has no price; `*` where a provider names no model."""
    wanted, models = words_of(spec.match.provider), words_of(spec.match.model)
    for provider in providers.values():
        if provider.is_placeholder or (wanted is not None and provider.name not in wanted):
            continue
        if not provider.models and provider.price_of(None) is None:
            yield f"{provider.name}/*"
        for model in provider.models:
            if provider.price_of(model) is None and (models is None or model.id in models):
                yield f"{provider.name}/{model.id}"
