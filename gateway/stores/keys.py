"""Stored keys, and the protocol of their store.

The rule here: a key itself is never in a store or in these records, only its peppered digest and
its first characters.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.core.gateway_key import SHOWN_CHARS


class StoredSecret(msgspec.Struct, frozen=True):
    """One secret of a key; it has several while a rotation overlaps. Times are Unix seconds."""

    digest: bytes
    pepper: int  # the version of the pepper the digest was made with
    prefix: str
    created_at: int
    expires_at: int | None = None


class StoredKey(msgspec.Struct, frozen=True):
    """A key: who holds it and what it allows. Times are Unix seconds; lists are unordered."""

    name: str
    created_at: int
    tenant: str = ""
    groups: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: int | None = None
    disabled_at: int | None = None
    secrets: tuple[StoredSecret, ...] = ()

    def state_at(self, now: float) -> str:
        """`active`, `disabled` or `expired`; expired too if all its secrets are."""
        if self.disabled_at is not None:
            return "disabled"
        if is_over(self.expires_at, now) or all(is_over(s.expires_at, now) for s in self.secrets):
            return "expired"
        return "active"


class Changes(msgspec.Struct, frozen=True):
    """Which keys were created or changed since a revision."""

    revision: int  # that of the last change, to pass in the next call
    names: frozenset[str] | None  # None: too many to name


def is_over(expires_at: int | None, now: float) -> bool:
    """Whether a time has passed; None never does."""
    return expires_at is not None and expires_at <= now


def shown_part(key: str) -> str:
    """The part of a key that may be shown."""
    return key[:SHOWN_CHARS]


class KeyStore(Protocol):
    """Where keys are kept.

    Every method raises StoreDownError if the store does not answer; then nothing has changed, and
    it may be called again. After one process has written, the next look-up of any other sees it.
    Methods may be called from any number of tasks at a time.
    """

    async def find_key(self, digests: Sequence[bytes]) -> StoredKey | None:
        """The key that has a secret with one of these digests, with only that secret.

        Disabled and expired keys are found too.
        """

    async def find_keys(self, digests: Collection[bytes]) -> dict[bytes, StoredKey]:
        """The same for several keys at once, by digest; unknown ones are left out.

        The gateway uses it for keys it does not know yet, for all that came up together.
        """

    async def fetch_key(self, name: str) -> StoredKey:
        """A key with all of its secrets; KeyNotFoundError."""

    async def fetch_keys(self, *, after: str = "", limit: int | None = None) -> list[StoredKey]:
        """Every key with all its secrets, by name; or the first `limit` after a name."""

    async def fetch_changes(self, since: int) -> Changes:
        """The keys that were created or changed after a revision; cheap if there are none.

        Each gateway calls it every few seconds, however many keys it remembers.
        """

    async def fetch_revision(self) -> int:
        """The revision of the last change."""

    async def fetch_peppers(self) -> frozenset[int]:
        """The pepper versions that stored secrets were hashed with, including expired secrets."""

    async def find_working_peppers(self, versions: Collection[int], now: int) -> frozenset[int]:
        """Those of these versions that a still working secret needs."""

    async def fetch_pepper_checks(self) -> dict[int, bytes]:
        """The saved checks of peppers, by version."""

    async def save_pepper_checks(self, checks: Mapping[int, bytes]) -> None:
        """Save the checks of these versions, replacing existing ones."""

    async def save_key(self, key: StoredKey) -> None:
        """Save a new key with its secrets; KeyExistsError if the name is taken."""

    async def save_secret(self, name: str, secret: StoredSecret, *, others_end_at: int) -> None:
        """Give a key another secret; existing ones end at `others_end_at` at the latest.

        KeyNotFoundError; KeyDisabledError, even if another process disables it at this moment;
        KeyExpiredError if it has expired when the new secret is created.
        """

    async def disable_key(self, name: str, at: int) -> bool:
        """Refuse a key from now on; False if it was already disabled."""

    async def close(self) -> None:
        """Close every connection; called once, at the end."""
