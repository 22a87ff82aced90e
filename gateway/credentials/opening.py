"""From the settings to the sources of credentials.

The rule here: without `profiles` nothing is opened, and only the operator's credentials exist.
"""

from collections.abc import Iterable
from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from gateway.config.load import Registry
from gateway.config.profiles import ProfilesSpec
from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.core.credential_owner import owner_of, tenant_of
from gateway.core.tasks import Tasks
from gateway.credentials.custom_models import CustomModels
from gateway.credentials.finder import CredentialFinder
from gateway.credentials.lookup_cache import ANSWER_S, LookupCache
from gateway.credentials.marks import Marks
from gateway.credentials.own_endpoints import OwnEndpoints
from gateway.credentials.pools import Pools
from gateway.credentials.profile_keys import ProfileKeys, StoredProfileKeys, SupabaseProfileKeys
from gateway.credentials.source import Source
from gateway.credentials.stored import Opened, Opener, StoredSource
from gateway.credentials.supabase_profiles import Subjects, SupabaseSource
from gateway.stores.opening_credentials import open_credentials, open_supabase_profiles
from gateway.stores.profiles import Columns, ModelPlace, ModelRow, Profile

PROFILE_KEYS: web.AppKey[ProfileKeys] = web.AppKey("profile_keys")
"""The credentials of profiles; set by `app` where there are profiles."""

_log = structlog.get_logger()


class OpenSources:
    """Opens every source that the settings name, and closes them in reverse order."""

    def __init__(self, settings: Settings, registry: Registry, pools: Pools, tasks: Tasks) -> None:
        self._settings = settings
        self._registry = registry
        self._pools = pools
        self._tasks = tasks
        self._closing = AsyncExitStack()
        self._endpoints = OwnEndpoints()
        self._sources: dict[str, Source] = {}
        self._custom_models: CustomModels | None = None
        self.profile_keys: ProfileKeys | None = None
        self.marks: Marks | None = None

    @property
    def finder(self) -> CredentialFinder:
        """The finder that asks them."""
        return CredentialFinder(self._sources, self._pools, self._custom_models)

    async def open(self) -> None:
        """Open them; on failure raise StoreError with the reason and leave nothing open."""
        profiles = self._settings.profiles
        if profiles is None:
            return
        try:
            if profiles.source == "stored" or profiles.tenants:
                await self._open_stored(profiles)
            if profiles.source == "postgres":
                await self._open_supabase_profiles(profiles)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close every store; called once, at the end, when no task uses them any more."""
        await self._closing.aclose()

    async def _open_stored(self, profiles: ProfilesSpec) -> None:
        """The gateway's own database: profiles, tenants, or both."""
        opened = await open_credentials(self._settings.stores, timeout_s=ANSWER_S)
        self._closing.push_async_callback(opened.store.close)
        cache: LookupCache[str, Opened] = LookupCache(
            "stored credentials", Opener(opened).look_up, self._tasks
        )
        self.marks = Marks(opened.store, self._tasks)
        self._closing.push_async_callback(self.marks.close)
        if profiles.source == "stored":
            self._sources["profile"] = StoredSource(cache, owner_of, self._endpoints)
            self.profile_keys = StoredProfileKeys(opened, cache)
        if profiles.tenants:
            self._sources["tenant"] = StoredSource(cache, tenant_of, self._endpoints)

    async def _open_supabase_profiles(self, profiles: ProfilesSpec) -> None:
        """The tables of a chat front end."""
        wanted = fields_of(self._registry.providers.values())
        tables = await open_supabase_profiles(
            profiles.database or self._settings.stores.database,
            Columns(
                profiles.table,
                profiles.id,
                wanted,
                profiles.models,
                needs_models="models" in profiles.model_fields_set,
            ),
            field="profiles.database" if profiles.database else "stores.database",
            timeout_s=ANSWER_S,
        )
        self._closing.push_async_callback(tables.close)
        if missing := sorted(wanted - tables.fields):
            _log.info("profiles.columns_missing", table=profiles.table, columns=missing)
        subjects = Subjects(self._settings.profile_prefix)
        rows: LookupCache[str, Profile] = LookupCache(
            f"table {profiles.table}", tables.fetch_profiles, self._tasks
        )
        self._sources["profile"] = SupabaseSource(rows, subjects, tables.fields, self._endpoints)
        self.profile_keys = SupabaseProfileKeys(rows, subjects)
        if tables.has_models:
            models: LookupCache[ModelPlace, ModelRow] = LookupCache(
                f"table {profiles.models}", tables.fetch_models, self._tasks
            )
            self._custom_models = CustomModels(models, subjects, self._endpoints)


def fields_of(providers: Iterable[Provider]) -> frozenset[str]:
    """The fields of a profile that the registry uses."""
    found: set[str] = set()
    for provider in providers:
        if provider.is_custom or "profile" not in provider.credential_order:
            continue
        found |= {provider.key, *provider.profile_headers.values()}
        if provider.own_endpoint is not None:
            found |= {provider.own_endpoint.field, *provider.own_endpoint.models.values()}
    return frozenset(found)
