"""Sealing everything again with the newest encryption key.

The rule here: a batch is written completely or not at all, and the old envelopes stay valid until
then. So this may be stopped at any point and started again.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from gateway.stores.credentials import CredentialStore, Envelope, StoredCredential
from gateway.stores.encryption_keys import EncryptionKeys
from gateway.stores.envelope import open_envelope, seal
from gateway.stores.errors import StoreError

BATCH = 200


class Resealed(msgspec.Struct):
    """The result."""

    done: int = 0
    changed_meanwhile: int = 0  # changed or deleted by somebody else in the meantime
    problems: list[str] = []  # about envelopes that do not open; they stay as they are


async def reencrypt(
    store: CredentialStore, keys: EncryptionKeys, *, batch: int = BATCH
) -> Resealed:
    """Seal every credential with the newest key; StoreDownError if the store fails on the way.

    Credentials already sealed with it are not touched, so a second run does nothing.
    """
    counts = Resealed()
    place = ("", "")
    while found := await store.fetch_after(place, newest=keys.newest, limit=batch):
        place = (found[-1].owner, found[-1].field)
        # In a thread: a batch takes some milliseconds, and a gateway may share this loop.
        sealed, problems = await asyncio.to_thread(_reseal, keys, found)
        counts.problems += problems
        done = await store.reseal(sealed)
        counts.done += done
        counts.changed_meanwhile += len(sealed) - done
    return counts


def _reseal(
    keys: EncryptionKeys, found: Sequence[StoredCredential]
) -> tuple[list[tuple[StoredCredential, Envelope]], list[str]]:
    sealed: list[tuple[StoredCredential, Envelope]] = []
    problems: list[str] = []
    for stored in found:
        try:
            secret = open_envelope(keys, stored.owner, stored.field, stored.envelope)
        except StoreError as error:
            problems.append(str(error))
        else:
            sealed.append((stored, seal(keys, stored.owner, stored.field, secret)))
    return sealed, problems
