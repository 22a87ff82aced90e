"""Models that a budget will refuse because they have no price.

The rule here: this only warns before anybody is refused. It is not an error, as callers may use
other models.
"""

from collections.abc import Iterable, Mapping

from gateway.config.anonymous import AnonymousLimitSpec
from gateway.config.limit_rules import LimitSpec, words_of
from gateway.config.registry import Provider

SHOWN = 5


def find_unpriced(specs: Iterable[LimitSpec], providers: Mapping[str, Provider]) -> list[str]:
    """A sentence for each money rule that will refuse models of the registry."""
    sentences = []
    for spec in specs:
        if not spec.counts_money or spec.unpriced == "allow":
            continue
        names = sorted(_names_of(spec, providers))
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            # The limits under `anonymous` have no `unpriced` field.
            is_anonymous = isinstance(spec, AnonymousLimitSpec)
            otherwise = "" if is_anonymous else ", or `unpriced: allow` in the rule"
            sentences.append(
                f"The rule {spec.name} counts money and refuses models without a price, such as "
                f"{', '.join(names[:SHOWN])}{more}; write `price_in_usd_per_mtok` and "
                f"`price_out_usd_per_mtok` in the registry{otherwise}."
            )
    return sentences


def _names_of(spec: LimitSpec, providers: Mapping[str, Provider]) -> Iterable[str]:
    """The models of the registry without a price; `*` for a provider that lists no models."""
    wanted, models = words_of(spec.match.provider), words_of(spec.match.model)
    for provider in providers.values():
        if provider.is_placeholder or (wanted is not None and provider.name not in wanted):
            continue
        if not provider.models and provider.price_of(None) is None:
            yield f"{provider.name}/*"
        for model in provider.models:
            if provider.price_of(model) is None and (models is None or model.id in models):
                yield f"{provider.name}/{model.id}"
