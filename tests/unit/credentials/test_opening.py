"""What the settings name is opened, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.config.load import Registry
from gateway.config.settings import Settings
from gateway.core.credential import Credential
from gateway.core.identity import Principal
from gateway.core.tasks import Tasks
from gateway.credentials.opening import OpenSources, fields_of
from gateway.credentials.pools import Pools
from gateway.stores.errors import StoreError
from gateway.stores.opening_credentials import open_credentials
from tests.plugins.chain import LogLines
from tests.plugins.front_end_tables import FrontEndTables
from tests.plugins.stored_credentials import FIELD, VALUE, new_credential
from tests.unit.credentials.conftest import call_of, exchange_of, provider_of

COOKIE = {"kind": "supabase_cookie", "url": "https://abc.supabase.co", "prefix": "s:"}
GROQ = provider_of("groq")
REGISTRY = Registry({"groq": GROQ, "xai": provider_of("xai")}, {})


def settings_of(tmp_path: Path, **blocks: Any) -> Settings:
    """Settings whose database is in a directory."""
    stores = {"database": f"sqlite:///{tmp_path / 'gateway.db'}"}
    return Settings.model_validate({"stores": stores, **blocks})


async def test_without_profiles_nothing_is_opened(tmp_path: Path, tasks: Tasks) -> None:
    """Not even a file is made; the operator's credentials are there."""
    ours = Credential("GROQ_API_KEY", SecretStr("canary"))
    registry = Registry({"groq": GROQ}, {"groq": (ours,)})
    sources = OpenSources(settings_of(tmp_path), registry, Pools(registry.credentials), tasks)

    await sources.open()

    found = await sources.finder.find(call_of(GROQ), exchange_of(Principal("alice", "jwt")))
    assert found.credential is ours
    assert (sources.profile_keys, sources.marks) == (None, None)
    assert not (tmp_path / "gateway.db").exists()
    await sources.close()


async def test_stored_profiles_and_tenants(tmp_path: Path, tasks: Tasks) -> None:
    """Each owner's credential, the caller's own before their tenant's."""
    auth = [{"kind": "gateway_key"}]
    settings = settings_of(tmp_path, auth=auth, profiles={"source": "stored"})
    opened = await open_credentials(settings.stores, {}, timeout_s=5)
    for owner in ("user:alice", "tenant:acme"):
        await opened.store.save(new_credential(opened.keys, owner, value=VALUE + owner))
    await opened.store.close()
    sources = OpenSources(settings, REGISTRY, Pools({}), tasks)
    await sources.open()

    found = [
        await sources.finder.find(call_of(GROQ), exchange_of(Principal(name, "jwt", tenant="acme")))
        for name in ("alice", "bob")
    ]

    assert [one.credential and one.credential.id for one in found] == [
        f"profile:alice/{FIELD}",
        f"tenant:acme/{FIELD}",
    ]
    assert sources.profile_keys is not None
    assert sources.marks is not None
    await tasks.cancel()
    await sources.close()


async def test_a_table_and_tenants(
    tmp_path: Path,
    front_end: FrontEndTables,
    tasks: Tasks,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: LogLines,
) -> None:
    """Users from one database, tenants from the other; what the table lacks is said once."""
    monkeypatch.setenv("SUPABASE_DATABASE", front_end.address)
    profiles = {"source": "postgres", "database": "${SUPABASE_DATABASE}", "tenants": True}
    settings = settings_of(tmp_path, auth=[COOKIE], profiles=profiles)
    user = front_end.add_profile(groq_api_key=VALUE)
    sources = OpenSources(settings, REGISTRY, Pools({}), tasks)
    await sources.open()

    caller = Principal(f"s:{user}", "supabase_cookie")
    found = await sources.finder.find(call_of(GROQ), exchange_of(caller))

    assert found.credential is not None
    assert found.credential.id == f"profile:s:{user}/groq_api_key"
    assert sources.marks is not None
    (line,) = log_lines.find("profiles.columns_missing")
    assert line["columns"] == ["xai_api_key"]
    await tasks.cancel()
    await sources.close()


async def test_what_cannot_be_opened_leaves_nothing_open(
    tmp_path: Path, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store of tenants was open when the table was not there."""
    monkeypatch.setenv("SUPABASE_DATABASE", "postgresql://gw@127.0.0.1:1/x")
    profiles = {"source": "postgres", "database": "${SUPABASE_DATABASE}", "tenants": True}
    settings = settings_of(tmp_path, auth=[COOKIE], profiles=profiles)

    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/x: "):
        await OpenSources(settings, REGISTRY, Pools({}), tasks).open()


def test_what_is_asked_of_a_profile_is_in_the_registry() -> None:
    """Neither what is never taken from one, nor what belongs to a row of one's own."""
    own = {"field": "endpoint", "models": {"a": "a_id", "b": "b_id"}}

    assert fields_of(
        [
            GROQ,
            provider_of("azure", own_endpoint=own, profile_headers={"X-Org": "org_id"}),
            provider_of("xai", credential_order=("operator", "tenant")),
            provider_of("custom", base_url="models:"),
        ]
    ) == {"groq_api_key", "azure_api_key", "endpoint", "a_id", "b_id", "org_id"}
