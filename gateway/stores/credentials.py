"""Stored credentials, and the protocol of their store.

The rule here: a store sees only envelopes, never what is in them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec


class Envelope(msgspec.Struct, frozen=True):
    """One sealed credential; the `envelope` module seals and opens it."""

    key: int  # the version of the encryption key
    key_check: bytes  # tells this key from another one with the same number
    data_key: bytes  # wrapped: nonce, 32 bytes, tag
    sealed: bytes  # nonce, text, tag


class StoredCredential(msgspec.Struct, frozen=True):
    """An owner's credential. Times are Unix seconds."""

    owner: str
    field: str  # a provider's `key` in the registry
    version: int  # random for each value, so that marks of an old value never count for a new one
    envelope: Envelope
    set_at: int
    worked_at: int | None = None  # a provider accepted this value
    failed_at: int | None = None  # a provider refused it


class Mark(msgspec.Struct, frozen=True):
    """Whether a provider accepted a credential. Times are Unix seconds; None means no news."""

    worked_at: int | None = None
    failed_at: int | None = None


ByField = Mapping[str, StoredCredential]


class CredentialStore(Protocol):
    """Where the credentials of profiles and tenants are kept.

    Every method raises StoreDownError if the store does not answer; then nothing has changed, and
    it may be called again. After one process has written, the next look-up of any other sees it.
    Methods may be called from any number of tasks at a time.
    """

    async def fetch_of(self, owners: Collection[str]) -> dict[str, ByField]:
        """The credentials of several owners by field; owners without any are left out."""

    async def fetch_owners(self, start: str) -> list[str]:
        """The owners whose names begin with `start`, in order."""

    async def save(self, credential: StoredCredential) -> None:
        """Save a credential, replacing the one for the same owner and field."""

    async def delete(self, owner: str, field: str) -> bool:
        """Delete a credential; False if there was none."""

    async def note(self, marks: Mapping[int, Mark]) -> None:
        """Save whether values were accepted, by version; versions that are gone are ignored."""

    async def fetch_keys(self) -> list[tuple[int, bytes]]:
        """The encryption keys in use: their versions and checks."""

    async def fetch_after(
        self, place: tuple[str, str], *, newest: int, limit: int
    ) -> list[StoredCredential]:
        """Credentials not sealed with the newest key, ordered by owner and field.

        `place` is the owner and field of the last one of the previous call, at first empty.
        """

    async def reseal(self, credentials: Sequence[tuple[StoredCredential, Envelope]]) -> int:
        """Give each its new envelope in one transaction; returns how many were replaced.

        A credential that was changed or deleted since it was read is left alone.
        """

    async def close(self) -> None:
        """Close every connection; called once, at the end."""
