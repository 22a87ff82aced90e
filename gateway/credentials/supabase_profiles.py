"""Credentials from the profiles of a chat front end on Supabase.

The rule here: a profile is looked up by the subject of the caller's token, and only for tokens of
the issuer whose users the table holds. The same subject from another issuer is never looked up.
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
    """Tells which callers are users in the tables."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix  # the settings ensure that no other issuer's begins with it

    def subject_of(self, principal: Principal) -> str | None:
        """The subject of a caller's token; None for callers who are not such users."""
        name = principal.name
        if principal.kind not in _WITH_TOKENS or not name.startswith(self._prefix):
            return None
        return name[len(self._prefix) :]


class SupabaseSource:
    """The credentials that users have entered in their settings."""

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
        """The columns that the user has filled in."""
        user = self._subjects.subject_of(principal)
        return frozenset(() if user is None else await self._cache.find(user) or ())

    def _goes_elsewhere(self, provider: Provider, profile: Profile) -> bool:
        """Whether this credential is for another address than the provider's own."""
        own = provider.own_endpoint
        return provider.is_placeholder or (own is not None and own.field in profile)

    def _move(self, call: Call, profile: Profile) -> Call:
        """The call to the address in the profile, with the model's name there."""
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
