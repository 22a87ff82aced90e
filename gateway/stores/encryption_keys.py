"""Encryption keys: the secrets that data keys are wrapped with, by version.

The rule here: the newest version wraps, and every version unwraps. The keys are never in the
database, so a copy of it cannot be decrypted.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from gateway.config.stores import check_encryption_key, decode_encryption_key
from gateway.stores.errors import StoreError
from gateway.stores.version_file import read_versions

CHECK_BYTES = 8

_CHECKED = b"chat-gateway/encryption-key-check/1"


class MissingKeyError(StoreError):
    """The encryption key that something was sealed with is missing or was replaced by another."""


class EncryptionKeys:
    """The keys; their `repr` shows only the versions."""

    def __init__(self, by_version: Mapping[int, str], source: str) -> None:
        if not by_version:
            raise StoreError(f"{source} holds no encryption key, and nothing is sealed without.")
        self.newest = max(by_version)
        self.versions = frozenset(by_version)
        self.source = source
        self._keys = {
            version: decode_encryption_key(key, source) for version, key in by_version.items()
        }

    def find(self, version: int, check: bytes) -> bytes:
        """The key of a version; MissingKeyError says which one is missing or different."""
        key = self._keys.get(version)
        if key is None:
            raise MissingKeyError(
                f"{self.source} lacks the encryption key {version}, which stored credentials were "
                "sealed with; put it back, or they have to be set anew."
            )
        if not hmac.compare_digest(check_of(key), check):
            raise MissingKeyError(
                f"The encryption key {version} of {self.source} is another one than stored "
                "credentials were sealed with; put that back, or they have to be set anew."
            )
        return key

    def find_newest(self) -> tuple[bytes, bytes]:
        """The key used for sealing, and its check."""
        key = self._keys[self.newest]
        return key, check_of(key)

    @override
    def __repr__(self) -> str:
        return f"EncryptionKeys({sorted(self.versions)})"


def check_of(key: bytes) -> bytes:
    """A value that tells a key from others but reveals nothing about it."""
    return hmac.digest(key, _CHECKED, "sha256")[:CHECK_BYTES]


def read_encryption_key_file(path: Path) -> EncryptionKeys:
    """The keys in a file: one `version:key` per line."""
    return EncryptionKeys(read_versions(path, "key", check_encryption_key), str(path))
