"""A profile of a chat front end is found by the right person's subject, and used as it is meant."""

from typing import Any

import pytest
from pydantic import SecretStr

from gateway.core.credential import Credential
from gateway.core.errors import (
    CredentialUnavailableError,
    CredentialUnusableError,
    InvalidRequestError,
)
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.tasks import Tasks
from gateway.credentials.lookup_cache import LookupCache
from gateway.credentials.own_endpoints import OwnEndpoints
from gateway.credentials.supabase_profiles import Subjects, SupabaseSource
from tests.plugins.shelf import Shelf
from tests.unit.credentials.conftest import call_of, provider_of

USER = "4b9d2b1e-6a0e-4f0a-9c53-0b6f5f8f6a01"
ALICE = Principal(USER, "supabase_cookie")
FIELDS = frozenset({"groq_api_key", "azure_openai_api_key"})
OWN = {"field": "azure_openai_endpoint", "models": {"gpt-4-turbo-preview": "turbo_id"}}
AZURE: dict[str, Any] = {
    "base_url": "https://EXAMPLE.openai.azure.com/openai/v1",
    "key": "azure_openai_api_key",
    "own_endpoint": OWN,
}
FULL = {
    "azure_openai_api_key": "canary-key-of-azure-0001",
    "azure_openai_endpoint": "https://mine.openai.azure.com/",
    "turbo_id": "my-deployment",
}


def source_of(tasks: Tasks, profile: dict[str, str], prefix: str = "") -> SupabaseSource:
    """Profiles in which one user has these values."""
    shelf = Shelf({USER: {name: SecretStr(value) for name, value in profile.items()}})
    return SupabaseSource(
        LookupCache("profiles", shelf.look_up, tasks), Subjects(prefix), FIELDS, OwnEndpoints()
    )


async def test_a_user_has_what_is_in_their_profile(tasks: Tasks) -> None:
    """Under the registry's name for it."""
    source = source_of(tasks, {"groq_api_key": "sk-canary-of-alice"})
    call = call_of()

    found = await source.find(call, ALICE)

    assert found is not None
    assert found.credential == Credential(
        f"profile:{USER}/groq_api_key", SecretStr("sk-canary-of-alice")
    )
    assert found.call is call
    assert await source.find(call_of(provider_of("openai")), ALICE) is None
    assert await source.find(call_of(provider_of("azure", **AZURE)), ALICE) is None
    assert await source.fields_of(ALICE) == {"groq_api_key"}
    assert await source.fields_of(ANONYMOUS) == frozenset()


@pytest.mark.parametrize(
    "principal",
    [
        ANONYMOUS,
        Principal(USER, "gateway_key"),
        Principal("other:" + USER, "jwt"),
        Principal("", "jwt"),
    ],
)
async def test_nobody_else_has_it(tasks: Tasks, principal: Principal) -> None:
    """Neither a key whose holder is called like the user, nor somebody of another issuer."""
    source = source_of(tasks, {"groq_api_key": "sk-canary-of-alice"})

    assert await source.find(call_of(), principal) is None


def test_the_subject_is_what_follows_the_prefix() -> None:
    """Of this issuer alone."""
    subjects = Subjects("sb:")

    assert subjects.subject_of(Principal("sb:1", "jwt")) == "1"
    assert subjects.subject_of(Principal("sb:1", "supabase_cookie")) == "1"
    assert subjects.subject_of(Principal("x:1", "jwt")) is None
    assert subjects.subject_of(Principal("sb:1", "gateway_key")) is None


async def test_azure_is_called_at_the_users_own_address(tasks: Tasks) -> None:
    """And the model by the name of their deployment."""
    azure = provider_of("azure", **AZURE)

    found = await source_of(tasks, FULL).find(call_of(azure, "gpt-4-turbo-preview"), ALICE)

    assert found is not None
    assert found.call.provider.base_url == "https://mine.openai.azure.com/openai/v1"
    assert found.call.model == "my-deployment"
    assert not found.call.provider.is_placeholder


@pytest.mark.parametrize("left_out", ["azure_openai_endpoint", "turbo_id"])
async def test_half_a_resource_is_said(tasks: Tasks, left_out: str) -> None:
    """In the words of the front end."""
    profile = {name: value for name, value in FULL.items() if name != left_out}
    azure = provider_of("azure", **AZURE)

    with pytest.raises(CredentialUnusableError) as refused:
        await source_of(tasks, profile).find(call_of(azure, "gpt-4-turbo-preview"), ALICE)

    assert (refused.value.status, refused.value.public) == (400, "Azure resources not found")
    assert left_out in str(refused.value.detail)


async def test_a_model_without_a_deployment_is_said(tasks: Tasks) -> None:
    """In the words of the front end."""
    azure = provider_of("azure", **AZURE)

    with pytest.raises(InvalidRequestError) as refused:
        await source_of(tasks, FULL).find(call_of(azure, "gpt-4o"), ALICE)

    assert (refused.value.status, refused.value.public) == (400, "Model not found")


async def test_an_operators_address_serves_who_has_none(tasks: Tasks) -> None:
    """And only those: a key goes to the address that it was written beside."""
    azure = provider_of("azure", **{**AZURE, "base_url": "https://ours.openai.azure.com/openai/v1"})
    call = call_of(azure, "gpt-4-turbo-preview")
    key_alone = {"azure_openai_api_key": "canary-key-of-azure-0001"}

    own = await source_of(tasks, FULL).find(call, ALICE)
    ours = await source_of(tasks, key_alone).find(call, ALICE)

    assert own is not None
    assert ours is not None
    assert own.call.provider.base_url.startswith("https://mine.")
    assert ours.call is call


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:6379", "http://169.254.169.254", "gopher://x", "https://a@b"]
)
async def test_an_address_in_a_profile_passes_the_rules(tasks: Tasks, address: str) -> None:
    """As every address that the gateway calls (H02)."""
    profile = {**FULL, "azure_openai_endpoint": address}
    azure = provider_of("azure", **AZURE, allow_private=True)

    with pytest.raises(CredentialUnusableError):
        await source_of(tasks, profile).find(call_of(azure, "gpt-4-turbo-preview"), ALICE)


async def test_a_table_that_cannot_be_asked_is_said(tasks: Tasks) -> None:
    """And not taken for a missing key; what is in no column needs no asking."""
    shelf: Shelf[str, dict[str, SecretStr]] = Shelf()
    shelf.is_down = True
    source = SupabaseSource(
        LookupCache("profiles", shelf.look_up, tasks), Subjects(""), FIELDS, OwnEndpoints()
    )

    with pytest.raises(CredentialUnavailableError):
        await source.find(call_of(), ALICE)
    assert await source.find(call_of(provider_of("openai")), ALICE) is None
