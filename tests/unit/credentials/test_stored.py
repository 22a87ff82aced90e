"""A credential of the database is its owner's, whole, or it is not used."""

import pytest
from pydantic import SecretStr

from gateway.core.credential import Credential
from gateway.core.credential_owner import owner_of, tenant_of
from gateway.core.errors import CredentialUnavailableError, CredentialUnusableError
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.tasks import Tasks
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.own_endpoints import OwnEndpoints
from gateway.credentials.stored import Opened, Opener, StoredSource, credential_id
from gateway.stores.credentials import StoredCredential
from gateway.stores.opening_credentials import OpenCredentials
from tests.plugins.chain import LogLines
from tests.plugins.stored_credentials import FIELD, VALUE, keys_of, new_credential
from tests.unit.credentials.conftest import ALICE, call_of, provider_of


@pytest.fixture
def remembered(sqlite_credentials: OpenCredentials, tasks: Tasks) -> LookupCache[str, Opened]:
    """What is in the store."""
    return LookupCache("stored credentials", Opener(sqlite_credentials).look_up, tasks)


async def test_everybody_has_their_own(
    sqlite_credentials: OpenCredentials, remembered: LookupCache[str, Opened]
) -> None:
    """Also who is called the same: a user, the holder of a key, a tenant."""
    store, keys = sqlite_credentials.store, sqlite_credentials.keys
    owners = {"user:alice": "user", "key:alice": "holder", "tenant:acme": "tenant"}
    saved = {owner: new_credential(keys, owner, value=VALUE + who) for owner, who in owners.items()}
    for credential in saved.values():
        await store.save(credential)
    profile, tenant = (StoredSource(remembered, of, OwnEndpoints()) for of in (owner_of, tenant_of))
    call = call_of()

    found = [
        await profile.find(call, ALICE),
        await profile.find(call, Principal("alice", "gateway_key")),
        await tenant.find(call, ALICE),
    ]

    assert [one and one.credential for one in found] == [
        Credential(f"{id_}/{FIELD}", SecretStr(VALUE + who), saved[owner].version)
        for id_, (owner, who) in zip(
            ("profile:alice", "profile:alice", "tenant:acme"), owners.items(), strict=True
        )
    ]
    assert all(one is not None and one.call is call for one in found)
    assert await profile.find(call, Principal("acme", "jwt")) is None
    assert await tenant.find(call, Principal("bob", "jwt")) is None
    assert await profile.find(call, ANONYMOUS) is None
    assert await profile.find(call_of(provider_of("openai")), ALICE) is None
    assert [await one.fields_of(ALICE) for one in (profile, tenant)] == [{FIELD}] * 2
    assert await profile.fields_of(ANONYMOUS) == frozenset()


async def test_no_credential_goes_to_an_address_that_is_not_filled_in(
    sqlite_credentials: OpenCredentials, remembered: LookupCache[str, Opened]
) -> None:
    """EXAMPLE may be somebody's host."""
    await sqlite_credentials.store.save(new_credential(sqlite_credentials.keys))
    azure = provider_of("azure", base_url="https://EXAMPLE.openai.azure.com/v1", key=FIELD)

    assert (
        await StoredSource(remembered, owner_of, OwnEndpoints()).find(call_of(azure), ALICE) is None
    )


@pytest.mark.parametrize("is_lost", [True, False])
async def test_what_does_not_open_is_said_and_not_missing(
    sqlite_credentials: OpenCredentials,
    remembered: LookupCache[str, Opened],
    log_lines: LogLines,
    *,
    is_lost: bool,
) -> None:
    """A row that was moved, a key that is gone: 503 for that one, and the others go on."""
    store = sqlite_credentials.store
    other = new_credential(keys_of(1), field="openai_api_key")
    sealed = new_credential(keys_of(3) if is_lost else keys_of(1), "user:alice" if is_lost else "x")
    await store.save(other)
    await store.save(StoredCredential("user:alice", FIELD, 7, sealed.envelope, 1))
    source = StoredSource(remembered, owner_of, OwnEndpoints())

    for _ in range(2):
        with pytest.raises(CredentialUnavailableError) as refused:
            await source.find(call_of(), ALICE)
        remembered.forget("user:alice")

    assert ("encryption key 3" if is_lost else "does not open") in str(refused.value.detail)
    assert await source.find(call_of(provider_of("openai")), ALICE) is not None
    assert len(log_lines.find("credential.not_opened")) == 1
    assert VALUE not in log_lines.text


async def test_what_cannot_stand_in_a_header_is_not_sent(
    sqlite_credentials: OpenCredentials, remembered: LookupCache[str, Opened]
) -> None:
    """However it came into the database."""
    await sqlite_credentials.store.save(
        new_credential(sqlite_credentials.keys, value="sk-canary\r\nX-Evil: 1")
    )

    with pytest.raises(CredentialUnusableError):
        await StoredSource(remembered, owner_of, OwnEndpoints()).find(call_of(), ALICE)


def test_the_id_says_whose_and_which() -> None:
    """And nothing of the value."""
    assert credential_id("user:a/b", "x_key") == "profile:a/b/x_key"
    assert credential_id("tenant:acme", "x_key") == "tenant:acme/x_key"
