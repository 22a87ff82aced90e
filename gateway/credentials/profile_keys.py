"""What a signed-in user may do with the credentials in their own profile.

The rule here: a credential is never returned; only the last four characters of a long one are.
"""

import secrets
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec
from pydantic import SecretStr

from gateway.config.credentials import VISIBLE
from gateway.core.clock import Clock, system_clock
from gateway.core.credential_owner import owner_of
from gateway.core.errors import (
    CredentialUnavailableError,
    InvalidRequestError,
    MethodNotAllowedError,
    NoProfileError,
)
from gateway.core.identity import Principal
from gateway.core.retry_after import come_back
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.stored import Opened
from gateway.credentials.supabase_profiles import Subjects
from gateway.stores.credentials import StoredCredential
from gateway.stores.errors import StoreError
from gateway.stores.opening_credentials import OpenCredentials
from gateway.stores.profiles import Profile

ChangedT = TypeVar("ChangedT")

ENDING_CHARS = 4
MIN_KEY_CHARS = 8  # a shorter one could not be redacted from provider errors
MAX_KEY_CHARS = 4096
MIN_CHARS_FOR_ENDING = 12  # of a shorter one, four characters reveal too much
VERSION_BITS = 62  # fits a signed column of eight bytes


class ProfileKey(msgspec.Struct, frozen=True):
    """What may be shown of a credential. Times are Unix seconds; None: never, or unknown."""

    last_four: str | None
    set_at: int | None = None
    last_worked_at: int | None = None
    last_failed_at: int | None = None


class ProfileKeys(Protocol):
    """The credentials of profiles, by the fields that the registry names.

    Every method raises NoProfileError for a caller without a profile, and
    CredentialUnavailableError if the store does not answer; then nothing has changed.
    """

    async def fetch(self, principal: Principal) -> dict[str, ProfileKey]:
        """All that there are of one caller."""

    async def save(self, principal: Principal, field: str, secret: SecretStr) -> ProfileKey:
        """Save one, replacing an existing one. MethodNotAllowedError if read-only."""

    async def delete(self, principal: Principal, field: str) -> bool:
        """Delete one; False if there was none. MethodNotAllowedError if read-only."""


class StoredProfileKeys:
    """Those in the gateway's own database."""

    def __init__(
        self,
        opened: OpenCredentials,
        cache: LookupCache[str, Opened],
        clock: Clock = system_clock,
    ) -> None:
        # Loads cryptography: only a gateway with stored credentials gets here.
        from gateway.stores import envelope  # noqa: PLC0415 - see above

        self._store = opened.store
        self._keys = opened.keys
        self._cache = cache
        self._clock = clock
        self._seal = envelope.seal
        self._open = envelope.open_envelope

    async def fetch(self, principal: Principal) -> dict[str, ProfileKey]:
        """All that there are of one caller."""
        owner = _owner(principal)
        with _translated():
            found = await self._store.fetch_of([owner])
        return {field: self._describe(stored) for field, stored in found.get(owner, {}).items()}

    async def save(self, principal: Principal, field: str, secret: SecretStr) -> ProfileKey:
        """Save one, replacing an existing one."""
        owner = _owner(principal)
        stored = StoredCredential(
            owner=owner,
            field=field,
            version=new_version(),
            envelope=self._seal(self._keys, owner, field, secret),
            set_at=int(self._clock()),
        )
        await self._change(owner, self._store.save(stored))
        return self._describe(stored)

    async def delete(self, principal: Principal, field: str) -> bool:
        """Delete one; False if there was none."""
        owner = _owner(principal)
        return await self._change(owner, self._store.delete(owner, field))

    async def _change(self, owner: str, change: Awaitable[ChangedT]) -> ChangedT:
        try:
            with _translated():
                return await change
        finally:
            # Even on failure or cancellation, as it may have been written anyway.
            self._cache.forget(owner)

    def _describe(self, stored: StoredCredential) -> ProfileKey:
        try:
            secret = self._open(self._keys, stored.owner, stored.field, stored.envelope)
        except StoreError:  # calls with it get 503, and the reason is logged
            last_four = None
        else:
            last_four = ending_of(secret)
        return ProfileKey(last_four, stored.set_at, stored.worked_at, stored.failed_at)


class SupabaseProfileKeys:
    """Those in the table of a chat front end, which is the only one to change them."""

    def __init__(self, cache: LookupCache[str, Profile], subjects: Subjects) -> None:
        self._cache = cache
        self._subjects = subjects

    async def fetch(self, principal: Principal) -> dict[str, ProfileKey]:
        """All that there are of one caller."""
        profile = await self._cache.find(self._subject(principal)) or {}
        return {field: ProfileKey(ending_of(secret)) for field, secret in profile.items()}

    async def save(self, principal: Principal, field: str, secret: SecretStr) -> ProfileKey:  # noqa: ARG002 - none is kept
        """Refuse: the table is read only."""
        raise self._refuse(principal)

    async def delete(self, principal: Principal, field: str) -> bool:  # noqa: ARG002 - none is deleted
        """Refuse: the table is read only."""
        raise self._refuse(principal)

    def _subject(self, principal: Principal) -> str:
        subject = self._subjects.subject_of(principal)
        if subject is None:
            raise _no_profile()
        return subject

    def _refuse(self, principal: Principal) -> MethodNotAllowedError:
        self._subject(principal)
        return MethodNotAllowedError(
            "Profiles are only read here. Please set the key in the settings of the chat.",
            headers={"Allow": "GET"},
        )


def check_key_text(text: str, what: str) -> SecretStr:
    """A credential that a user entered; InvalidRequestError if it cannot be one."""
    key = text.strip()  # blanks are often copied with it
    if not MIN_KEY_CHARS <= len(key) <= MAX_KEY_CHARS:
        raise InvalidRequestError(
            f"{what} must be {MIN_KEY_CHARS} to {MAX_KEY_CHARS} characters long.", param="key"
        )
    if VISIBLE.fullmatch(key) is None:
        raise InvalidRequestError(
            f"{what} must be of visible ASCII characters, without white space.", param="key"
        )
    return SecretStr(key)


def ending_of(secret: SecretStr) -> str | None:
    """The last four characters of a credential; None for a short one."""
    text = secret.get_secret_value()
    return text[-ENDING_CHARS:] if len(text) >= MIN_CHARS_FOR_ENDING else None


def new_version() -> int:
    """A number for a new value; never 0."""
    return secrets.randbits(VERSION_BITS) | 1


def _owner(principal: Principal) -> str:
    owner = owner_of(principal)
    if owner is None:
        raise _no_profile()
    return owner


def _no_profile() -> NoProfileError:
    return NoProfileError(
        "Only who is signed in has a profile: send a key of your own, or sign in."
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise CredentialUnavailableError(
            "Credentials cannot be reached at the moment. Try again in a moment.",
            detail=str(error),
            headers=come_back(),
        ) from None
