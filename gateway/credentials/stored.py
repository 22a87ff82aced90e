"""Credentials of profiles and tenants in the gateway's own database.

The rule here: an envelope that does not open is not treated as a missing credential. It is logged,
and the call gets 503.
"""

from collections.abc import Callable, Collection

import msgspec
import structlog

from gateway.core.credential import Credential
from gateway.core.credential_owner import TENANT
from gateway.core.errors import CredentialUnavailableError
from gateway.core.identity import Principal
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.own_endpoints import OwnEndpoints
from gateway.credentials.source import Found, check_usable, moved_to
from gateway.plugins.keys import Call
from gateway.stores.credentials import StoredCredential
from gateway.stores.errors import StoreError
from gateway.stores.opening_credentials import OpenCredentials

TOLD_MAX = 1_000  # how many credentials that do not open are logged; more would say the same

_log = structlog.get_logger()


class Sealed(msgspec.Struct, frozen=True):
    """A credential that exists but does not open."""

    problem: str


Opened = dict[str, Credential | Sealed]
"""The credentials of one owner, by their fields."""

OwnerOf = Callable[[Principal], str | None]


class StoredSource:
    """The credentials of one sort of owner."""

    def __init__(
        self, cache: LookupCache[str, Opened], owner_of: OwnerOf, endpoints: OwnEndpoints
    ) -> None:
        self._cache = cache
        self._owner_of = owner_of
        self._endpoints = endpoints

    async def find(self, call: Call, principal: Principal) -> Found | None:
        """The credential in the field that the registry names by `key`.

        None if there is none. CredentialUnavailableError if that is unknown, or if it does not
        open; CredentialUnusableError if it cannot be sent in a header.
        """
        owner = self._owner_of(principal)
        provider = call.provider
        # An address with EXAMPLE may be a stranger's host: never send a credential there.
        if owner is None or provider.is_placeholder:
            return None
        opened = await self._cache.find(owner)
        credential = None if opened is None else opened.get(provider.key)
        if credential is None:
            return None
        if isinstance(credential, Sealed):
            raise CredentialUnavailableError(
                f"The credential for {provider.label} cannot be read; "
                "the gateway's operator finds the reason in its log.",
                detail=credential.problem,
            )
        check_usable(credential, provider.label)
        # Only credentials are stored, so the operator's headers are removed and none added.
        return Found(credential, moved_to(call, self._endpoints.provider_with(provider, {})))

    async def fields_of(self, principal: Principal) -> frozenset[str]:
        """The fields in which the caller, or their tenant, has a credential."""
        owner = self._owner_of(principal)
        return frozenset(() if owner is None else await self._cache.find(owner) or ())


class Opener:
    """Looks credentials up in the store and opens their envelopes."""

    def __init__(self, opened: OpenCredentials) -> None:
        # Loads cryptography: only a gateway with stored credentials gets here.
        from gateway.stores.envelope import open_envelope  # noqa: PLC0415 - see above

        self._store = opened.store
        self._keys = opened.keys
        self._open = open_envelope
        self._told: set[int] = set()  # versions already logged

    async def look_up(self, owners: Collection[str]) -> dict[str, Opened]:
        """The credentials of these owners; a `LookUp`."""
        found = await self._store.fetch_of(owners)
        return {
            owner: {field: self._open_one(stored) for field, stored in of_owner.items()}
            for owner, of_owner in found.items()
        }

    def _open_one(self, stored: StoredCredential) -> Credential | Sealed:
        try:
            secret = self._open(self._keys, stored.owner, stored.field, stored.envelope)
        except StoreError as error:
            if stored.version not in self._told and len(self._told) < TOLD_MAX:
                self._told.add(stored.version)
                _log.error("credential.not_opened", reason=str(error))
            return Sealed(str(error))
        return Credential(credential_id(stored.owner, stored.field), secret, stored.version)


def credential_id(owner: str, field: str) -> str:
    """The id of a stored credential in the log: whose it is, and which one."""
    sort, _, name = owner.partition(":")
    return f"{'tenant' if sort == TENANT else 'profile'}:{name}/{field}"
