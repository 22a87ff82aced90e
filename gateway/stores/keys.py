"""Stored keys and the protocol of what stores them.

The rule here: a key itself is never in a store, nor in these records; only its digest under a
pepper, and its first characters.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.core.gateway_key import SHOWN_CHARS


class StoredSecret(msgspec.Struct, frozen=True):
    """One secret of a key: a key has several while a rotation overlaps. Times are Unix seconds."""

    digest: bytes
    pepper: int  # the version of the pepper the digest was made with
    prefix: str
    created_at: int
    expires_at: int | None = None


class StoredKey(msgspec.Struct, frozen=True):
    """A key: who holds it and what it is for. Times are Unix seconds, lists without order."""

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
        """`active`, `disabled` or `expired`, as this key is or its only secret."""
        if self.disabled_at is not None:
            return "disabled"
        if is_over(self.expires_at, now) or all(is_over(s.expires_at, now) for s in self.secrets):
            return "expired"
        return "active"


class Changes(msgspec.Struct, frozen=True):
    """Which keys were made or changed since a revision."""

    revision: int  # of the last change; to ask with the next time
    names: frozenset[str] | None  # None: too many to name


def is_over(expires_at: int | None, now: float) -> bool:
    """Whether a time has come; None never does."""
    return expires_at is not None and expires_at <= now


def shown_part(key: str) -> str:
    """What may be shown of a key."""
    return key[:SHOWN_CHARS]


class KeyStore(Protocol):
    """Where keys are kept.

    Every method raises StoreDownError when the store does not answer, and then nothing has been
    changed; it may be called again. What one process has written the next look-up of any other
    sees. Methods may be called from any number of tasks at a time.
    """

    async def find_key(self, digests: Sequence[bytes]) -> StoredKey | None:
        """The key that has a secret with one of these digests, with that secret alone.

        Disabled and expired ones are found too.
        """

    async def find_keys(self, digests: Collection[bytes]) -> dict[bytes, StoredKey]:
        """The same for several at once, each by its digest; what is not there is left out.

        Asked by the gateway for the keys that it does not know, all that came up together.
        """

    async def fetch_key(self, name: str) -> StoredKey:
        """A key with all of its secrets; KeyNotFoundError."""

    async def fetch_keys(self, *, after: str = "", limit: int | None = None) -> list[StoredKey]:
        """Every key with all of its secrets, by name; or so many of those after a name."""

    async def fetch_changes(self, since: int) -> Changes:
        """The keys that were made or changed after a revision; cheap when there are none.

        Asked by each gateway every few seconds, however many keys it remembers.
        """

    async def fetch_revision(self) -> int:
        """The revision of the last change."""

    async def fetch_peppers(self) -> frozenset[int]:
        """The versions of pepper that stored secrets were hashed with, ended ones too."""

    async def find_working_peppers(self, versions: Collection[int], now: int) -> frozenset[int]:
        """Those of these versions that a secret needs which still works."""

    async def fetch_pepper_checks(self) -> dict[int, bytes]:
        """What was saved of peppers, by their version."""

    async def save_pepper_checks(self, checks: Mapping[int, bytes]) -> None:
        """Keep the checks of these versions, in place of others that are there."""

    async def save_key(self, key: StoredKey) -> None:
        """Keep a new key with its secrets; KeyExistsError when the name is taken."""

    async def save_secret(self, name: str, secret: StoredSecret, *, others_end_at: int) -> None:
        """Give a key another secret; the ones it has end then, or when they would have before.

        KeyNotFoundError; KeyDisabledError, also when another process disables it at this moment;
        KeyExpiredError when it is over at the time of the new secret.
        """

    async def disable_key(self, name: str, at: int) -> bool:
        """Refuse a key from now on; False when it was already disabled."""

    async def close(self) -> None:
        """Let go of every connection; called once, last."""
