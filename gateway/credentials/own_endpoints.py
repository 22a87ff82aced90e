"""Providers at addresses that callers configured.

The rule here: such an address must pass the registry's rules and may never be private; the
connection checks again what the name resolves to. The operator's own headers and certificate name
are not used there.
"""

from collections.abc import Hashable, Mapping

from pydantic import SecretStr

from gateway.config.addresses import ALLOW, check_base_url
from gateway.config.credentials import HEADER_VALUE
from gateway.config.provider_blocks import Model, TlsSpec
from gateway.config.registry import Provider
from gateway.core.errors import CredentialUnusableError, ProviderNotFoundError

ENDPOINTS_MAX = 1_000
MODEL_CHARS_MAX = 256
FIX_IT = "Please fix it in your profile settings."


class OwnEndpoints:
    """Makes such providers, and keeps them for the next request."""

    def __init__(self) -> None:
        self._providers: dict[Hashable, Provider] = {}

    def provider_at(
        self, provider: Provider, base_url: str, models: tuple[Model, ...] = ()
    ) -> Provider:
        """The provider at another address; CredentialUnusableError if that is not allowed."""
        key = ("at", provider.name, base_url, tuple((one.id, one.context) for one in models))
        found = self._providers.get(key)
        if found is None:
            found = self._keep(key, _make(provider, base_url, models))
        return found

    def provider_with(self, provider: Provider, profile: Mapping[str, SecretStr]) -> Provider:
        """The provider for use with a credential that is not the operator's.

        Headers that the registry takes from the profile replace the operator's, which may name an
        account that the credential does not belong to.
        """
        named = provider.profile_headers
        if not named:
            return provider
        headers = {
            name: profile[field].get_secret_value()
            for name, field in named.items()
            if field in profile
        }
        key = ("with", provider.name, tuple(headers.items()))
        found = self._providers.get(key)
        if found is None:
            found = self._keep(key, _make_with(provider, headers))
        return found

    def _keep(self, key: Hashable, provider: Provider) -> Provider:
        if len(self._providers) >= ENDPOINTS_MAX:
            del self._providers[next(iter(self._providers))]
        self._providers[key] = provider
        return provider


def _make_with(provider: Provider, headers: Mapping[str, str]) -> Provider:
    for name, value in headers.items():
        if HEADER_VALUE.fullmatch(value) is None:
            raise CredentialUnusableError(
                f"What your profile has for {provider.label} cannot be sent. {FIX_IT}",
                detail=f"{name} contains a control character or a letter outside ASCII",
            )
    theirs = {name.lower() for name in provider.profile_headers}
    ours = {name: value for name, value in provider.headers.items() if name.lower() not in theirs}
    return provider.model_copy(update={"headers": {**ours, **headers}})


def _make(provider: Provider, base_url: str, models: tuple[Model, ...]) -> Provider:
    try:
        check_base_url(base_url, allow_private=False)
    except ValueError as error:
        reason = str(error).removesuffix(f"; {ALLOW}")
        raise CredentialUnusableError(
            f"Your address for {provider.label} cannot be used: it {reason}. {FIX_IT}"
        ) from None
    return provider.model_copy(
        update={
            "base_url": base_url.rstrip("/"),
            "allow_private": False,
            "headers": {},
            "profile_headers": {},
            "tls": TlsSpec(),
            "models": models,
            "default_model": None,
        }
    )


def unfilled(provider: Provider, param: str | None = None) -> ProviderNotFoundError:
    """The error for a provider whose address still contains EXAMPLE."""
    return ProviderNotFoundError(
        f"The address of {provider.label} is not filled in; "
        f"whoever runs the gateway writes the `base_url` of `{provider.name}` "
        "in providers.yaml.",
        param=param,
    )


def check_model_name(name: str, label: str) -> str:
    """Check a model name that a user entered, as it is logged and sent.

    CredentialUnusableError if it is empty, too long or not printable.
    """
    if not 0 < len(name) <= MODEL_CHARS_MAX or not name.isprintable():
        raise CredentialUnusableError(f"Your model's name for {label} cannot be used. {FIX_IT}")
    return name
