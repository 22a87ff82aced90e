"""Which models have a series of their own.

The rule here: the registry's names, and of a provider that lists none the first that it has
answered for, so many and no more. What a caller merely writes is `other`.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from gateway.config.registry import Provider
from gateway.core.credential import is_callers_own
from gateway.core.errors import ProviderNotFoundError
from gateway.core.exchange import Exchange
from gateway.telemetry.series import OTHER

NONE = "none"  # a request that names no provider, or no model
FREE_PER_PROVIDER = 50
FREE_MOST = 200

_WORDS = frozenset({NONE, OTHER})
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}")

Pair = tuple[str, str]


class ModelNames:
    """Labels for a provider and a model."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._pairs: dict[Pair, Pair] = {}
        self._free = {
            name: FREE_PER_PROVIDER
            for name, provider in providers.items()
            if not provider.models and not provider.is_custom
        }
        self._free_left = FREE_MOST
        self._providers = frozenset(providers)
        for name, provider in providers.items():
            for model in provider.models:
                self._pairs[name, model.id] = (name, model.id)
                if model.alias is not None:
                    self._pairs.setdefault((name, model.alias), (name, model.id))

    def find(self, exchange: Exchange) -> Pair:
        """The provider and the model that a settled exchange is counted under."""
        pair = self._pairs.get((exchange.provider, exchange.model))
        return self._find_other(exchange) if pair is None else pair

    def remember(self, pairs: Iterable[Pair]) -> None:
        """Give names that were given before: else there would be more with every worker that dies.

        (What the dead have counted is shown for as long as the gateway runs.)
        """
        for provider, model in pairs:
            if model not in _WORDS and (provider, model) not in self._pairs:
                self._name(provider, model)

    def _find_other(self, exchange: Exchange) -> Pair:
        name, model = exchange.provider, exchange.model
        if not name:
            # A name that is in no registry stands in no exchange either: it is anybody's text.
            is_unknown = exchange.error_code == ProviderNotFoundError.code
            return (OTHER if is_unknown else NONE), NONE
        if name not in self._providers:
            return OTHER, OTHER
        if not model:
            return name, NONE
        return self._name(name, model) if _was_answered(exchange) else (name, OTHER)

    def _name(self, provider: str, model: str) -> Pair:
        """Give a model a name of its own, while there is room."""
        if not (self._free_left and self._free.get(provider, 0) and _PLAIN.fullmatch(model)):
            return provider, OTHER
        self._free_left -= 1
        self._free[provider] -= 1
        pair = self._pairs[provider, model] = (provider, model)
        return pair


def _was_answered(exchange: Exchange) -> bool:
    """Whether the operator's provider has answered to the name.

    A caller's own credential may lead to an address of theirs, where every name is answered.
    """
    is_ours = not is_callers_own(exchange.credential_id)
    return is_ours and exchange.status == HTTPStatus.OK and exchange.first_content_at > 0
