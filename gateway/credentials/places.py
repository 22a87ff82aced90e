"""Providers at addresses that callers have written down.

The rule here: such an address passes the registry's rules and never counts as private; the
connection checks again whatever the name resolves to. What the operator sends to the provider
(headers, a certificate's name) does not go there.
"""

from collections.abc import Hashable

from gateway.config.addresses import ALLOW, check_base_url
from gateway.config.provider_blocks import Model, TlsSpec
from gateway.config.registry import Provider
from gateway.core.errors import CredentialUnusableError

PLACES_MAX = 1_000
MODEL_CHARS_MAX = 256
FIX_IT = "Please fix it in your profile settings."


class Places:
    """Providers made so, kept for the next request."""

    def __init__(self) -> None:
        self._providers: dict[Hashable, Provider] = {}

    def provider_at(
        self, provider: Provider, base_url: str, models: tuple[Model, ...] = ()
    ) -> Provider:
        """The provider at another address; CredentialUnusableError when it must not live there."""
        key = (provider.name, base_url, tuple((model.id, model.context) for model in models))
        found = self._providers.get(key)
        if found is None:
            found = _make(provider, base_url, models)
            if len(self._providers) >= PLACES_MAX:
                del self._providers[next(iter(self._providers))]
            self._providers[key] = found
        return found


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
            "tls": TlsSpec(),
            "models": models,
            "default_model": None,
        }
    )


def check_model_name(name: str, label: str) -> str:
    """The name of a model that somebody wrote down; it is logged, and sent."""
    if not 0 < len(name) <= MODEL_CHARS_MAX or not name.isprintable():
        raise CredentialUnusableError(f"Your model's name for {label} cannot be used. {FIX_IT}")
    return name
