"""Nobody is ever served with a credential that was not theirs, whatever happens in which order.

The rule here: two gateways on one real store, one clock, and a model of who had what since when.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pydantic import SecretStr

from gateway.core.credential_owner import owner_of, tenant_of
from gateway.core.errors import CredentialUnavailableError
from gateway.core.identity import Principal
from gateway.core.tasks import Tasks
from gateway.credentials.finder import CredentialFinder
from gateway.credentials.lookup_cache import FRESH_S, REST_S, STALE_S, LookupCache
from gateway.credentials.own_endpoints import OwnEndpoints
from gateway.credentials.pools import Pools
from gateway.credentials.profile_keys import StoredProfileKeys
from gateway.credentials.stored import Opened, Opener, StoredSource
from gateway.stores.credentials import ByField, StoredCredential
from gateway.stores.errors import StoreDownError
from gateway.stores.opening_credentials import OpenCredentials, open_credentials
from gateway.stores.reencrypt import reencrypt
from tests.plugins.stored_credentials import (
    CREDENTIAL_ENVIRON,
    FIELD,
    credential_spec,
    keys_of,
    new_credential,
)
from tests.plugins.stored_keys import Clock
from tests.unit.credentials.conftest import call_of, exchange_of

# One name in three sorts, and one tenant for two of them.
PEOPLE = {
    "user": Principal("alice", "jwt", tenant="acme"),
    "holder": Principal("alice", "gateway_key", tenant="acme"),
    "other": Principal("acme", "jwt", tenant="alice"),
}
WHO = st.sampled_from(sorted(PEOPLE))
GATEWAY = st.sampled_from([0, 1])
SECONDS = st.sampled_from([0.0, 1.0, 3.0, FRESH_S, STALE_S])


class Breakable:
    """The real store, which can be away."""

    def __init__(self, opened: OpenCredentials) -> None:
        self._store = opened.store
        self.is_down = False

    async def fetch_of(self, owners: list[str]) -> dict[str, ByField]:
        """Ask it."""
        self._check()
        return await self._store.fetch_of(owners)

    async def save(self, credential: StoredCredential) -> None:
        """The same."""
        self._check()
        await self._store.save(credential)

    async def delete(self, owner: str, field: str) -> bool:
        """The same."""
        self._check()
        return await self._store.delete(owner, field)

    def _check(self) -> None:
        if self.is_down:
            raise StoreDownError("out of order")


class CredentialMachine(RuleBasedStateMachine):
    """Sets, deletes, reencrypts, waits, breaks; and every now and then somebody calls."""

    @initialize()
    def open(self) -> None:
        """Begin with an empty file and two gateways."""
        self.directory = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.crashes: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.crashes.append(error))
        self.loop.run_until_complete(self._open())
        # Of each owner: (since when, the value or None), the newest last.
        self.history: dict[str, list[tuple[float, str | None]]] = {}
        self.count = 0

    async def _open(self) -> None:
        spec = credential_spec(f"sqlite:///{Path(self.directory.name) / 'gateway.db'}", 1, 2)
        self.opened = await open_credentials(spec, CREDENTIAL_ENVIRON, timeout_s=10)
        self.store = Breakable(self.opened)
        self.gateways = [self._make_gateway() for _ in range(2)]

    def _make_gateway(self) -> tuple[StoredProfileKeys, CredentialFinder]:
        opened = OpenCredentials(self.store, self.opened.keys)  # type: ignore[arg-type] # what is asked
        remembered: LookupCache[str, Opened] = LookupCache(
            "stored", Opener(opened).look_up, self.tasks, self.clock
        )
        finder = CredentialFinder(
            {
                "profile": StoredSource(remembered, owner_of, OwnEndpoints()),
                "tenant": StoredSource(remembered, tenant_of, OwnEndpoints()),
            },
            Pools({}),
        )
        return StoredProfileKeys(opened, remembered, self.clock), finder

    @rule(who=WHO, gateway=GATEWAY)
    def set_own(self, who: str, gateway: int) -> None:
        """Somebody sets their own at a gateway."""
        owner = owner_of(PEOPLE[who]) or ""
        self.count += 1
        value = f"canary-{owner}-{self.count:06}"
        try:
            self._run(self.gateways[gateway][0].save(PEOPLE[who], FIELD, SecretStr(value)))
        except CredentialUnavailableError:
            assert self.store.is_down
        else:
            self._note(owner, value)

    @rule(who=WHO, gateway=GATEWAY)
    def delete_own(self, who: str, gateway: int) -> None:
        """Somebody deletes their own at a gateway."""
        owner = owner_of(PEOPLE[who]) or ""
        try:
            was_there = self._run(self.gateways[gateway][0].delete(PEOPLE[who], FIELD))
        except CredentialUnavailableError:
            assert self.store.is_down
        else:
            assert was_there == (self._now(owner) is not None)
            self._note(owner, None)

    @rule(who=WHO)
    def set_for_tenant(self, who: str) -> None:
        """An operator sets a tenant's, beside the gateways; sealed with the older key."""
        owner = tenant_of(PEOPLE[who]) or ""
        self.count += 1
        value = f"canary-{owner}-{self.count:06}"
        self._run(self.opened.store.save(new_credential(keys_of(1), owner, FIELD, value)))
        self._note(owner, value)

    @rule()
    def seal_anew(self) -> None:
        """Nothing of it is seen by anybody."""
        counts = self._run(reencrypt(self.opened.store, self.opened.keys, batch=2))
        assert counts.problems == []

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += seconds

    @rule(is_down=st.booleans())
    def break_or_mend(self, *, is_down: bool) -> None:
        """The store goes away, or comes back; who calls first after that finds it out."""
        self.store.is_down = is_down
        if not is_down:
            self.clock.now += REST_S
            for _, finder in self.gateways:
                for principal in PEOPLE.values():
                    self._run(self._find_out(finder, principal))

    async def _find_out(self, finder: CredentialFinder, principal: Principal) -> None:
        with suppress(CredentialUnavailableError):
            await finder.find(call_of(), exchange_of(principal))

    @rule(who=WHO, gateway=GATEWAY)
    def call(self, who: str, gateway: int) -> None:
        """What somebody is served with was theirs a moment ago: profile first, then tenant."""
        principal = PEOPLE[who]
        try:
            found = self._run(self.gateways[gateway][1].find(call_of(), exchange_of(principal)))
        except CredentialUnavailableError:
            return
        value = None if found.credential is None else found.credential.secret.get_secret_value()
        allowed_s = STALE_S if self.store.is_down else FRESH_S
        profile = self._recent(owner_of(principal) or "", allowed_s)
        tenant = self._recent(tenant_of(principal) or "", allowed_s)
        assert value in profile or (None in profile and value in tenant)

    def _recent(self, owner: str, seconds: float) -> set[str | None]:
        """What an owner had at any time in the last seconds."""
        history = self.history.get(owner, [(float("-inf"), None)])
        recent = [value for since, value in history if since > self.clock.now - seconds]
        before = [value for since, value in history if since <= self.clock.now - seconds]
        return {*recent, *before[-1:]} | ({None} if not before else set())

    def _now(self, owner: str) -> str | None:
        return self.history.get(owner, [(0.0, None)])[-1][1]

    def _note(self, owner: str, value: str | None) -> None:
        self.history.setdefault(owner, [(float("-inf"), None)]).append((self.clock.now, value))

    def _run(self, work: object) -> object:
        async def running() -> object:
            done = await work
            await self.tasks.wait(10.0)
            return done

        return self.loop.run_until_complete(running())

    def teardown(self) -> None:
        """Let go of the file."""
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.tasks.cancel())
            self.loop.run_until_complete(self.opened.store.close())
            self.loop.close()
            self.directory.cleanup()
            assert self.crashes == []


TestCredentialModel = CredentialMachine.TestCase
TestCredentialModel.settings = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
