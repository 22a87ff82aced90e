"""Credentials from the profiles of a chat front end on Supabase.

The rule here: a profile is found by the subject of the caller's token, at the issuer whose users
the table is about; nobody else's subject is looked up there, even if it reads the same.
"""

from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.core.errors import CredentialUnusableError, InvalidRequestError
from gateway.core.identity import Principal
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.own_endpoints import OwnEndpoints, check_model_name
from gateway.credentials.source import Found, check_usable, moved_to
from gateway.plugins.keys import Call
from gateway.stores.profiles import Profile

_WITH_TOKENS = frozenset({"jwt", "supabase_cookie"})


class Subjects:
    """Whose users the tables are about."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix  # no other issuer's begins with it, as the settings see to

    def subject_of(self, principal: Principal) -> str | None:
        """The subject of a caller's token; None for everybody who is not one of these users."""
        name = principal.name
        if principal.kind not in _WITH_TOKENS or not name.startswith(self._prefix):
            return None
        return name[len(self._prefix) :]


class SupabaseSource:
    """The credentials that users have put into their settings."""

    def __init__(
        self,
        cache: LookupCache[str, Profile],
        subjects: Subjects,
        fields: frozenset[str],
        endpoints: OwnEndpoints,
    ) -> None:
        self._cache = cache
        self._subjects = subjects
        self._fields = fields
        self._endpoints = endpoints

    async def find(self, call: Call, principal: Principal) -> Found | None:
        """The credential in the column that the registry names by `key`."""
        provider = call.provider
        user = self._subjects.subject_of(principal)
        if user is None or provider.key not in self._fields:
            return None
        profile = await self._cache.find(user)
        secret = None if profile is None else profile.get(provider.key)
        if profile is None or secret is None:
            return None
        credential = Credential(f"profile:{principal.name}/{provider.key}", secret)
        check_usable(credential, provider.label)
        if provider.own_endpoint is None or not self._goes_elsewhere(provider, profile):
            there = self._endpoints.provider_with(provider, profile)
            return Found(credential, moved_to(call, there))
        return Found(credential, self._move(call, profile))

    async def fields_of(self, principal: Principal) -> frozenset[str]:
        """The columns in which the user has something."""
        user = self._subjects.subject_of(principal)
        return frozenset(() if user is None else await self._cache.find(user) or ())

    def _goes_elsewhere(self, provider: Provider, profile: Profile) -> bool:
        """Whether the provider's own address is not the one that this credential is for."""
        own = provider.own_endpoint
        return provider.is_placeholder or (own is not None and own.field in profile)

    def _move(self, call: Call, profile: Profile) -> Call:
        """The call at the address of the profile, and the model by its name there."""
        own = call.provider.own_endpoint
        if own is None:
            raise RuntimeError("Only a provider with own_endpoint is called elsewhere.")
        field = own.models.get(call.model)
        if field is None:
            raise InvalidRequestError("Model not found", param="model")
        address, model = profile.get(own.field), profile.get(field)
        if address is None or model is None:
            raise CredentialUnusableError(
                f"{call.provider.name.title()} resources not found",
                detail=f"the profile lacks {own.field if address is None else field}",
            )
        base_url = address.get_secret_value().rstrip("/") + own.path
        return moved_to(
            call,
            self._endpoints.provider_at(call.provider, base_url),
            check_model_name(model.get_secret_value(), call.provider.label),
        )
