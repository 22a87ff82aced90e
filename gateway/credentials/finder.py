"""The credential of a call: each provider's sources, in its order.

The rule here: the first source that has one wins. A source that cannot tell ends the search,
because the next one's credential would spend somebody else's money.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from aiohttp import web

from gateway.config.registry import Provider
from gateway.core.errors import CredentialUnavailableError, ProviderNotFoundError
from gateway.core.exchange import Exchange
from gateway.core.identity import ANONYMOUS, Principal
from gateway.credentials.custom_models import CustomModels
from gateway.credentials.pools import Pools
from gateway.credentials.source import Found, Source
from gateway.plugins.keys import Call

OPERATOR = "operator"


class CredentialFinder:
    """Asks the operator's pools and the configured sources."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        pools: Pools,
        custom_models: CustomModels | None = None,
    ) -> None:
        self._sources = sources  # by the word in `credential_order`
        self._pools = pools
        self._custom_models = custom_models

    @property
    def has_profiles(self) -> bool:
        """Whether callers may have credentials of their own."""
        return "profile" in self._sources

    async def find(self, call: Call, exchange: Exchange) -> Found:
        """The call and its credential, if any source has one.

        A credential of the operator's is held by the exchange until that is settled.
        """
        principal = exchange.principal or ANONYMOUS
        if call.provider.is_custom:
            return await self._find_custom(call, principal)
        for word in call.provider.credential_order:
            if word == OPERATOR:
                credential = self._pools.take(exchange, call)
                found = None if credential is None else Found(credential, call, is_operators=True)
            elif word in self._sources:
                found = await self._sources[word].find(call, principal)
            else:
                continue
            if found is not None:
                return found
        return Found(None, call)

    async def find_own(self, providers: Iterable[Provider], principal: Principal) -> frozenset[str]:
        """The names of the providers for which a caller, or their tenant, has a credential.

        Only for lists: what cannot be looked up now is left out, and nothing fails.
        """
        fields: dict[str, frozenset[str]] = {}
        for word, source in self._sources.items():
            with suppress(CredentialUnavailableError):
                fields[word] = await source.fields_of(principal)
        custom = self._custom_models
        has_models = custom is not None and custom.are_for(principal)
        return frozenset(
            provider.name
            for provider in providers
            if (
                has_models
                if provider.is_custom
                else any(provider.key in fields.get(word, ()) for word in provider.credential_order)
            )
        )

    async def _find_custom(self, call: Call, principal: Principal) -> Found:
        if self._custom_models is None:
            raise ProviderNotFoundError(
                "Callers have no models of their own here; whoever runs the gateway writes "
                "`profiles: {source: postgres}` in gateway.yaml."
            )
        return await self._custom_models.find(call, principal)


CREDENTIALS: web.AppKey[CredentialFinder] = web.AppKey("credentials", CredentialFinder)
"""Where the credential of a call comes from; set by `app`."""
