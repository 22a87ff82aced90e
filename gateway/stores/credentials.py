"""Stored credentials and the protocol of what stores them.

The rule here: a store sees envelopes alone; what is in them is none of its business.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec


class Envelope(msgspec.Struct, frozen=True):
    """One sealed credential; `envelope` makes and opens it."""

    key: int  # the version of the encryption key
    key_check: bytes  # what tells that key from another one that bears its number
    data_key: bytes  # wrapped: nonce, 32 bytes, tag
    sealed: bytes  # nonce, text, tag


class StoredCredential(msgspec.Struct, frozen=True):
    """A credential of an owner. Times are Unix seconds."""

    owner: str
    field: str  # as the registry's `key` of a provider
    version: int  # a random number for each value, so that nothing said of one counts for the next
    envelope: Envelope
    set_at: int
    worked_at: int | None = None  # a provider accepted this value
    failed_at: int | None = None  # a provider refused it


class Mark(msgspec.Struct, frozen=True):
    """How a provider took a credential. Times are Unix seconds, None: nothing new."""

    worked_at: int | None = None
    failed_at: int | None = None


ByField = Mapping[str, StoredCredential]


class CredentialStore(Protocol):
    """Where credentials of profiles and tenants are kept.

    Every method raises StoreDownError when the store does not answer, and then nothing has been
    changed; it may be called again. What one process has written the next look-up of any other
    sees. Methods may be called from any number of tasks at a time.
    """

    async def fetch_of(self, owners: Collection[str]) -> dict[str, ByField]:
        """The credentials of several owners by their fields; nothing of an owner without any."""

    async def fetch_owners(self, start: str) -> list[str]:
        """The owners whose names begin so, in order."""

    async def save(self, credential: StoredCredential) -> None:
        """Keep a credential, in place of the one there was for that owner and field."""

    async def delete(self, owner: str, field: str) -> bool:
        """Forget a credential; False when there was none."""

    async def note(self, marks: Mapping[int, Mark]) -> None:
        """Write down how values were taken, by their versions; one that is gone is passed over."""

    async def fetch_keys(self) -> list[tuple[int, bytes]]:
        """The encryption keys that something is sealed with: their versions and checks."""

    async def fetch_after(
        self, place: tuple[str, str], *, newest: int, limit: int
    ) -> list[StoredCredential]:
        """Credentials that are not sealed with the newest key, in the order of owner and field.

        `place` is the owner and field of the last one of the call before; two empty texts at first.
        """

    async def reseal(self, credentials: Sequence[tuple[StoredCredential, Envelope]]) -> int:
        """Give each its new envelope, all at once; how many had not been changed meanwhile.

        One that was set anew or deleted since it was read stays as it is.
        """

    async def close(self) -> None:
        """Let go of every connection; called once, last."""
