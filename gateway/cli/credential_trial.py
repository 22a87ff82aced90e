"""Whether a provider accepts a credential.

The rule here: a list of models proves something only where it is not public. Where it is, or where
there is none, a model is asked for one token.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import msgspec

from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.core.clock import monotonic, system_clock
from gateway.core.credential import Credential, CredentialState
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.upstream_errors import (
    UpstreamAnswerError,
    UpstreamBadResponseError,
    UpstreamCredentialError,
    UpstreamRedirectError,
    UpstreamReplyTooLargeError,
)
from gateway.credentials.verdict import judge_failure

MAX_AT_ONCE = 8  # of one provider: whoever has more must not be limited for having asked

Result = Literal["works", "refused", "limited", "spent", "failed", "unreachable", "unknown"]

_RESULTS: dict[CredentialState, Result] = {
    CredentialState.SET_ASIDE: "refused",
    CredentialState.RESTING: "limited",
    CredentialState.SPENT: "spent",
}


_ANSWERS_OF_NO_USE = (
    UpstreamBadResponseError,
    UpstreamRedirectError,
    UpstreamReplyTooLargeError,
)


class Trial(msgspec.Struct, frozen=True):
    """What came of one credential; nothing of it is secret."""

    provider: str
    credential_id: str | None  # None: the provider was asked without
    result: Result
    status: int | None = None
    code: str | None = None
    message: str | None = None
    latency_ms: int | None = None
    models: int | None = None  # how many there are, where there is a list


class ListMissingError(Exception):
    """The provider has no list of models."""


class Asks(Protocol):
    """Asks one provider; both raise UpstreamError when it does not answer well."""

    async def fetch_models(self, credential: Credential | None) -> list[str]:
        """The ids of its models; ListMissingError when it has no list."""

    async def ask_model(self, model: str, credential: Credential | None) -> None:
        """Have a model say one token."""


class _Listing(msgspec.Struct):
    """What is known of a provider's list before any credential is shown."""

    is_public: bool
    models: list[str]


async def try_provider(
    provider: Provider, credentials: Sequence[Credential], asks: Asks
) -> list[Trial]:
    """One trial for each credential, in their order; one without for a provider that has none."""
    if not credentials and provider.needs_credential:
        return [Trial(provider.name, None, "unknown", message="it has no credential")]
    trier = _Trier(provider, asks)
    listing = await trier.look_at_list() if credentials else _Listing(is_public=False, models=[])
    places = asyncio.Semaphore(MAX_AT_ONCE)

    async def one(credential: Credential | None) -> Trial:
        async with places:
            return await trier.try_one(credential, listing)

    return await asyncio.gather(*(one(credential) for credential in credentials or (None,)))


def choose_providers(registry: Registry, names: Sequence[str]) -> Iterable[Provider]:
    """Those that are named, or else all that have a credential."""
    if names:
        return [registry.providers[name] for name in dict.fromkeys(names)]
    return [registry.providers[name] for name in registry.credentials]


class _Trier:
    def __init__(self, provider: Provider, asks: Asks) -> None:
        self._provider = provider
        self._asks = asks

    async def look_at_list(self) -> _Listing:
        """Ask for the list without a credential: who gets it so proves nothing with one."""
        try:
            return _Listing(is_public=True, models=await self._asks.fetch_models(None))
        except (UpstreamError, ListMissingError):
            return _Listing(is_public=False, models=[])

    async def try_one(self, credential: Credential | None, listing: _Listing) -> Trial:
        """Show one credential."""
        began = monotonic()
        name = None if credential is None else credential.id
        models: int | None = len(listing.models) if listing.is_public else None
        try:
            if not listing.is_public:
                models = await self._count_models(credential)
            if listing.is_public or models is None:
                model = self._choose_model(listing)
                if model is None:
                    message = "its list of models proves nothing, and it has no model to ask"
                    return Trial(self._provider.name, name, "unknown", message=message)
                await self._asks.ask_model(model, credential)
        except GatewayError as error:
            return self._tell(name, error, began)
        return Trial(
            self._provider.name, name, "works", latency_ms=self._since(began), models=models
        )

    async def _count_models(self, credential: Credential | None) -> int | None:
        try:
            return len(await self._asks.fetch_models(credential))
        except ListMissingError:
            return None

    def _choose_model(self, listing: _Listing) -> str | None:
        """The model that is asked for one token: the registry's before the list's."""
        provider = self._provider
        if provider.default_model is not None:
            known = provider.find_model(provider.default_model)
            return provider.default_model if known is None else known.id
        if provider.models:
            return provider.models[0].id
        return listing.models[0] if listing.models else None

    def _tell(self, name: str | None, error: GatewayError, began: float) -> Trial:
        result: Result = "unreachable"
        status = None
        code = error.code
        if isinstance(error, UpstreamAnswerError):
            verdict = judge_failure(error, now=system_clock())
            result = "failed" if verdict is None else _RESULTS[verdict.state]
            if isinstance(error, UpstreamCredentialError):  # nobody's text is quoted here
                result = "refused"
            status, code = error.status, error.fault.code or error.code
        elif isinstance(error, _ANSWERS_OF_NO_USE):
            result = "failed"
        return Trial(
            self._provider.name,
            name,
            result,
            status=status,
            code=code,
            message=error.public,
            latency_ms=self._since(began),
        )

    def _since(self, began: float) -> int:
        return round((monotonic() - began) * 1000)
