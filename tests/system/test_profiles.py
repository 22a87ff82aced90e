"""Credentials of callers and tenants through whole gateways, on both databases.

The rule here: what a provider was shown is read from the provider's own journal.
"""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from gateway.credentials import lookup_cache, marks
from gateway.middleware.assign_request_id import IN_FLIGHT
from gateway.profile.handlers import PER_MINUTE
from gateway.simulator import Simulator
from gateway.stores.credentials import StoredCredential
from gateway.stores.opening_credentials import OpenCredentials, open_credentials
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.scene import eventually
from tests.plugins.signed_in import Person, bearers, holders, shown
from tests.plugins.stored_credentials import (
    CREDENTIAL_ENVIRON,
    credential_spec,
    encryption_key,
    new_credential,
)
from tests.plugins.stored_keys import make_tables

ORDER = ["profile", "operator"]
QUESTION = {"model": "sim/plain", "messages": [{"role": "user", "content": "Hi"}]}
HERS, HIS, THEIRS = (f"canary.of.{who}.{who[::-1]}.0a1b" for who in ("alice", "bob", "acme"))


@pytest.fixture
def _encryption_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways find them where they look."""
    for name, value in CREDENTIAL_ENVIRON.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each answer of the store were five seconds old."""
    monkeypatch.setattr(lookup_cache, "RENEW_S", 0.0)
    monkeypatch.setattr(lookup_cache, "FRESH_S", 0.0)
    monkeypatch.setattr(lookup_cache, "ANSWER_S", 10.0)  # on a busy machine it may take a while


def settings_for(database_address: str, *names: str) -> dict[str, Any]:
    """Settings with stored profiles."""
    return {
        "auth": [holders(*names or ("alice", "bob"))],
        "stores": {
            "database": database_address,
            "encryption_keys": {"1": "${ENCRYPTION_KEY_1}"},
        },
        "profiles": {"source": "stored"},
    }


def contents(directory: Path) -> list[bytes]:
    """What is in each file of a database."""
    return [path.read_bytes() for path in directory.glob("*.db*")]


async def open_gateway(
    start_gateway: StartGateway,
    simulator: Simulator,
    settings: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    **fields: Any,
) -> Gateway:
    """A gateway with the simulator as its provider."""
    usual = {"allow_private": True, "retries": 0, "models": [{"id": "plain"}]}
    provider = {"base_url": simulator.base_url, **usual, **fields}
    gateway = await start_gateway(
        providers={"sim": provider, "azure": {"base_url": "https://EXAMPLE.azure.com/v1"}},
        settings=settings,
        environ=environ or {},
    )
    gateway.secrets.append(encryption_key(1))
    return gateway


async def models(person: Person) -> list[str]:
    """The models that somebody is shown."""
    return [model["id"] for model in (await person.ask("GET", "/v1/models"))[1]["data"]]


@pytest.mark.usefixtures("_encryption_keys", "_no_memory")
async def test_everybody_is_served_with_their_own(
    start_gateway: StartGateway,
    simulator: Simulator,
    opened_credentials: OpenCredentials,  # noqa: ARG001 - for its tables
    database_address: str,
) -> None:
    """Set at one gateway, known at the other; deleted at the other, gone at the one (E16)."""
    settings = settings_for(database_address)
    one, other = [await open_gateway(start_gateway, simulator, settings) for _ in range(2)]
    alice, bob = Person.with_key(one, "alice"), Person.with_key(one, "bob")
    sentence = "Sim API Key not found. Please set it in your profile settings."
    assert await alice.chat() == (500, sentence)

    assert (await alice.set_key(HERS))[0] == 200
    assert [len(await models(person)) for person in (alice, bob)] == [1, 0]
    assert (await bob.set_key(HIS))[0] == 200
    for person in (
        alice,
        Person.with_key(other, "alice"),
        bob,
        Person.with_key(other, "bob"),
    ):
        assert (await person.chat())[0] == 200
    assert shown(simulator) == bearers([HERS, HERS, HIS, HIS])

    there = Person.with_key(other, "alice")
    assert await there.ask("DELETE", "/api/profile/keys/sim") == (204, "")
    assert await alice.chat() == (500, sentence)
    assert (await bob.chat())[0] == 200
    ids = [line["credential_id"] for line in one.log.settled if line["path"] == "/api/chat/sim"]
    assert ids == [None, "profile:alice/sim_api_key", "profile:bob/sim_api_key", None, ids[2]]


@pytest.mark.usefixtures("_encryption_keys")
async def test_nothing_of_a_credential_comes_out(
    start_gateway: StartGateway,
    simulator: Simulator,
    opened_credentials: OpenCredentials,  # noqa: ARG001 - for its tables
    database_address: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Not in an answer, a log line, a metric or a file; not where the provider repeats it (I5)."""
    monkeypatch.setattr(marks, "GATHER_S", 0.0)
    gateway = await open_gateway(start_gateway, simulator, settings_for(database_address))
    alice = Person.with_key(gateway, "alice")
    said = [await alice.set_key(HERS)]
    said.append(await alice.chat())
    echo = {"error": {"status": 401, "message": f"No such user: {HERS}, or '{HERS}'."}}
    said.append(await alice.chat(model="sim:" + json.dumps(echo)))
    question = {"model": "sim/sim:" + json.dumps(echo), "messages": [{"role": "user"}]}
    said.append(await alice.ask("POST", "/v1/chat/completions", question))
    said.append(await alice.ask("GET", "/api/profile/keys"))

    statuses = [status for status, _ in said]
    assert statuses == [200, 200, 401, 401, 200]
    assert said[3][1]["error"]["message"].startswith("Sim does not accept the key in your profile")
    assert said[2][1] == "Sim API Key is incorrect. Please fix it in your profile settings."
    assert HERS not in repr(said)
    files = contents(tmp_path)
    assert bool(files) == database_address.startswith("sqlite:")
    for content in files:
        assert HERS.encode() not in content
        assert HERS[-4:].encode() not in content


@pytest.mark.usefixtures("_encryption_keys")
async def test_when_it_worked_is_shown(
    start_gateway: StartGateway,
    simulator: Simulator,
    sqlite_credentials: OpenCredentials,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And when it was refused; a new value begins anew."""
    monkeypatch.setattr(marks, "GATHER_S", 0.0)
    settings = settings_for(f"sqlite:///{tmp_path / 'gateway.db'}")
    gateway = await open_gateway(start_gateway, simulator, settings)
    alice = Person.with_key(gateway, "alice")
    await alice.set_key(HERS)
    await alice.chat()
    await alice.chat(model='sim:{"error": {"status": 401}}')

    shown_key: dict[str, Any] = {}
    while not (shown_key.get("last_worked_at") and shown_key.get("last_failed_at")):
        status, shown_key = await alice.ask("GET", "/api/profile/keys/sim")
        assert status == 200

    assert (shown_key["provider"], shown_key["last_four"]) == ("sim", HERS[-4:])
    assert shown_key["set_at"] <= shown_key["last_worked_at"] <= shown_key["last_failed_at"]
    _, renewed = await alice.set_key(HIS)
    assert (renewed["last_worked_at"], renewed["last_failed_at"]) == (None, None)
    assert (await sqlite_credentials.store.fetch_of(["key:alice"]))["key:alice"]


@pytest.mark.usefixtures("_encryption_keys")
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["operator", "profile", "tenant"], CREDENTIAL),
        (["profile", "operator"], HERS),
        (["tenant", "profile", "operator"], THEIRS),
    ],
)
async def test_the_order_is_the_operators(
    start_gateway: StartGateway,
    simulator: Simulator,
    sqlite_credentials: OpenCredentials,
    tmp_path: Path,
    order: list[str],
    expected: str,
) -> None:
    """All three are there, and one is shown; the front end is told of the operator's alone."""
    settings = settings_for(f"sqlite:///{tmp_path / 'gateway.db'}")
    store, sealing = sqlite_credentials.store, sqlite_credentials.keys
    for owner, value in (("key:alice", HERS), ("tenant:acme", THEIRS)):
        await store.save(new_credential(sealing, owner, "sim_api_key", value))
    gateway = await open_gateway(
        start_gateway,
        simulator,
        settings,
        {"SIM_API_KEY": CREDENTIAL},
        credential_order=order,
    )
    gateway.secrets += [HERS, THEIRS]
    alice = Person.with_key(gateway, "alice")

    assert (await alice.chat())[0] == 200

    # A key written in the file has no tenant: what follows in the order is taken.
    assert shown(simulator) == bearers([HERS if expected == THEIRS else expected])
    _, flags = await alice.ask("GET", "/api/keys")
    assert flags["isUsingEnvKeyMap"]["sim"] is True


@pytest.mark.usefixtures("_encryption_keys")
async def test_a_row_that_was_moved_serves_nobody(
    start_gateway: StartGateway,
    simulator: Simulator,
    sqlite_credentials: OpenCredentials,
    tmp_path: Path,
) -> None:
    """Who can write the database cannot spend somebody else's money."""
    store, keys = sqlite_credentials.store, sqlite_credentials.keys
    hers = new_credential(keys, "key:alice", "sim_api_key", HERS)
    await store.save(hers)
    await store.save(StoredCredential("key:bob", "sim_api_key", 5, hers.envelope, 1))
    settings = settings_for(f"sqlite:///{tmp_path / 'gateway.db'}")
    gateway = await open_gateway(start_gateway, simulator, settings)
    gateway.secrets.append(HERS)

    status, said = await Person.with_key(gateway, "bob").chat()

    assert (status, "not found" in said, len(simulator.journal)) == (503, False, 0)
    assert (await Person.with_key(gateway, "alice").chat())[0] == 200
    (line,) = [one for one in gateway.log.lines if one["event"] == "credential.not_opened"]
    assert "sim_api_key of key:bob does not open" in line["reason"]


@pytest.mark.usefixtures("_encryption_keys")
async def test_requests_that_are_none_change_nothing(
    start_gateway: StartGateway,
    simulator: Simulator,
    sqlite_credentials: OpenCredentials,
    tmp_path: Path,
) -> None:
    """Each with a code of its own, and none with what was sent."""
    settings = settings_for(f"sqlite:///{tmp_path / 'gateway.db'}")
    settings["auth"].append({"kind": "anonymous", "requests_per_minute": 600, "concurrent": 10})
    gateway = await open_gateway(start_gateway, simulator, settings)
    alice, nobody = Person.with_key(gateway, "alice"), Person(gateway, {})
    path = "/api/profile/keys/sim"
    good = {"key": HERS}
    gateway.secrets.append(HERS)

    tried = [
        await nobody.ask("PUT", path, good),
        await nobody.ask("GET", "/api/profile/keys"),
        await alice.ask("PUT", "/api/profile/keys/none", good),
        await alice.ask("PUT", "/api/profile/keys/azure", good),
        await alice.ask("PUT", path, {"key": f"{HERS}\r\nX: 1"}),
        await alice.ask("PUT", path, HERS.encode()),
        await alice.ask("PUT", path, {"key": HERS * 1000}),
        await alice.ask("PUT", path, good, **{"Content-Encoding": "gzip"}),
        await alice.ask("GET", path),
        await alice.ask("DELETE", path),
        await alice.ask("POST", path, good),
    ]

    assert [(status, said["error"]["code"]) for status, said in tried] == [
        (403, "no_profile"),
        (403, "no_profile"),
        (404, "provider_not_found"),
        (404, "provider_not_found"),
        (400, "invalid_request"),
        (400, "invalid_json"),
        (413, "body_too_large"),
        (415, "unsupported_encoding"),
        (404, "credential_not_set"),
        (404, "credential_not_set"),
        (405, "method_not_allowed"),
    ]
    assert HERS not in repr(tried)
    assert await sqlite_credentials.store.fetch_owners("") == []


@pytest.mark.usefixtures("_encryption_keys")
async def test_who_asks_all_the_time_has_to_wait(
    start_gateway: StartGateway, simulator: Simulator, tmp_path: Path
) -> None:
    """Each question is one to the database, and no limit of calls counts it; others go on."""
    settings = settings_for(f"sqlite:///{tmp_path / 'gateway.db'}")
    gateway = await open_gateway(start_gateway, simulator, settings)
    alice, bob = (Person.with_key(gateway, name) for name in ("alice", "bob"))

    asked = 0
    while (answer := await alice.ask("GET", "/api/profile/keys"))[0] == HTTPStatus.OK:
        asked += 1  # one more is let in each second that this takes

    assert (answer[0], answer[1]["error"]["code"]) == (429, "request_rate_exceeded")
    assert asked >= PER_MINUTE
    assert (await alice.ask("PUT", "/api/profile/keys/sim", {"key": HERS}))[0] == 429
    assert (await bob.ask("GET", "/api/profile/keys"))[0] == 200


async def test_without_profiles_there_are_none(
    start_gateway: StartGateway, simulator: Simulator
) -> None:
    """Whoever asks is told what to write; no database is made."""
    gateway = await open_gateway(start_gateway, simulator, {"auth": [holders("alice")]})

    status, said = await Person.with_key(gateway, "alice").ask("GET", "/api/profile/keys")

    assert (status, said["error"]["code"]) == (404, "not_found")
    assert "`profiles`" in said["message"]


@pytest.mark.usefixtures("_encryption_keys")
async def test_a_frozen_server_stops_nobody_who_is_known(
    start_gateway: StartGateway,
    simulator: Simulator,
    postgresql: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They go on with what they had, others get 503, and nobody "key not found" (J07)."""
    database_address = postgresql.make_database()
    spec = credential_spec(database_address)
    await make_tables(spec)
    operator = await open_credentials(spec, CREDENTIAL_ENVIRON, timeout_s=10)
    for owner, value in (("key:alice", HERS), ("key:bob", HIS)):
        await operator.store.save(new_credential(operator.keys, owner, "sim_api_key", value))
    await operator.store.close()
    gateway = await open_gateway(start_gateway, simulator, settings_for(database_address))
    gateway.secrets += [HERS, HIS]
    alice, bob = Person.with_key(gateway, "alice"), Person.with_key(gateway, "bob")
    assert (await alice.chat())[0] == 200
    monkeypatch.setattr(lookup_cache, "RENEW_S", 0.0)
    monkeypatch.setattr(lookup_cache, "FRESH_S", 0.0)
    monkeypatch.setattr(lookup_cache, "ANSWER_S", 0.2)

    postgresql.freeze()
    try:
        assert [(await alice.chat())[0] for _ in range(3)] == [200] * 3
        status, said = await bob.ask("POST", "/v1/chat/completions", QUESTION)
        assert (status, said["error"]["code"]) == (503, "credential_unavailable")
    finally:
        postgresql.thaw()
    monkeypatch.setattr(lookup_cache, "ANSWER_S", 10.0)
    monkeypatch.setattr(lookup_cache, "REST_S", 0.0)

    while (status := (await bob.chat())[0]) != 200:
        assert status == 503
    assert set(shown(simulator)) == set(bearers([HERS, HIS]))
    assert shown(simulator)[-1:] == bearers([HIS])
    failed = [line for line in gateway.log.lines if line["event"] == "credential_store.failed"]
    assert 1 <= len(failed) <= 2


@pytest.mark.usefixtures("_encryption_keys")
async def test_a_caller_who_leaves_while_the_store_is_asked_leaves_nothing(
    start_gateway: StartGateway,
    simulator: Simulator,
    postgresql: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And does not take the question from the next one, nor the answer (J05)."""
    spec = credential_spec(postgresql.make_database())
    await make_tables(spec)
    gateway = await open_gateway(start_gateway, simulator, settings_for(spec.database))
    alice, bob = Person.with_key(gateway, "alice"), Person.with_key(gateway, "bob")
    for person, value in ((alice, HERS), (bob, HIS)):
        assert (await person.set_key(value))[0] == 200
    monkeypatch.setattr(lookup_cache, "ANSWER_S", 10.0)

    postgresql.freeze()
    try:
        leaver, stayer = (asyncio.ensure_future(person.chat()) for person in (alice, bob))
        await eventually(lambda: gateway.service.app[IN_FLIGHT].count == 2)
        leaver.cancel()
        await asyncio.wait([leaver])
    finally:
        postgresql.thaw()

    status, _ = await stayer
    # The driver waits a second: on a busy machine that may have been over.
    assert status in {200, 503}
    assert set(shown(simulator)) <= set(bearers([HIS]))
    while (await alice.chat())[0] != 200:
        pass
    assert shown(simulator)[-1:] == bearers([HERS])
    await gateway.log.wait_for_settled(5)


@pytest.mark.usefixtures("_encryption_keys")
async def test_a_budget_is_for_the_money_of_others(
    start_gateway: StartGateway, simulator: Simulator, tmp_path: Path
) -> None:
    """What a caller pays themselves takes nothing of it, also where nobody knows the price."""
    settings = settings_for(f"sqlite:///{tmp_path / 'gateway.db'}")
    settings["limits"] = [{"name": "budget", "on": "principal", "money_per_day": 0.001}]
    gateway = await open_gateway(
        start_gateway, simulator, settings, {"SIM_API_KEY": CREDENTIAL}, credential_order=ORDER
    )
    alice, bob = Person.with_key(gateway, "alice"), Person.with_key(gateway, "bob")
    await alice.set_key(HERS)

    assert [(await alice.chat())[0] for _ in range(3)] == [200] * 3
    assert (await bob.chat())[0] == 403  # with the operator's, and without a price
    assert shown(simulator) == bearers([HERS] * 3)
