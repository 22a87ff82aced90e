"""Stores of credentials for tests: real ones, with keys of their own.

The rule here: an encryption key is a canary, and so is every credential.
"""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.stores import StoresSpec
from gateway.credentials.profile_keys import new_version
from gateway.stores.credentials import StoredCredential
from gateway.stores.encryption_keys import EncryptionKeys
from gateway.stores.envelope import seal
from gateway.stores.opening_credentials import OpenCredentials, open_credentials
from tests.plugins.stored_keys import NOW, make_tables

VALUE = "sk-canary-of-a-profile-5b7e21"
FIELD = "groq_api_key"


def encryption_key(number: int) -> str:
    """A key of AES-256, always the same of a number; every second one is in base64."""
    content = hashlib.sha256(b"canary-encryption-key" + bytes([number])).digest()
    return content.hex() if number % 2 else base64.b64encode(content).decode()


CREDENTIAL_ENVIRON = {f"ENCRYPTION_KEY_{number}": encryption_key(number) for number in range(1, 4)}


def keys_of(*versions: int) -> EncryptionKeys:
    """Encryption keys of these versions."""
    return EncryptionKeys({at: encryption_key(at) for at in versions}, "stores.encryption_keys")


def credential_spec(database_address: str, *versions: int) -> StoresSpec:
    """The settings of a store with encryption keys from the environment."""
    written = {str(at): f"${{ENCRYPTION_KEY_{at}}}" for at in versions or (1,)}
    return StoresSpec(database=database_address, encryption_keys=written)


def new_credential(
    keys: EncryptionKeys,
    owner: str = "user:alice",
    field: str = FIELD,
    value: str = VALUE,
    **fields: int,
) -> StoredCredential:
    """A credential as it is stored."""
    return StoredCredential(
        owner=owner,
        field=field,
        version=new_version(),
        envelope=seal(keys, owner, field, SecretStr(value)),
        **{"set_at": NOW, **fields},
    )


@pytest.fixture
async def opened_credentials(database_address: str) -> AsyncIterator[OpenCredentials]:
    """An empty store of each sort, and the first encryption key."""
    spec = credential_spec(database_address)
    await make_tables(spec)
    opened = await open_credentials(spec, CREDENTIAL_ENVIRON, timeout_s=10)
    yield opened
    await opened.store.close()


@pytest.fixture
async def sqlite_credentials(tmp_path: Path) -> AsyncIterator[OpenCredentials]:
    """An empty store in a file, and the first encryption key."""
    spec = credential_spec(f"sqlite:///{tmp_path / 'gateway.db'}")
    await make_tables(spec)
    opened = await open_credentials(spec, CREDENTIAL_ENVIRON, timeout_s=10)
    yield opened
    await opened.store.close()
