"""Stored keys through whole gateways: several of them on one database, and the database in trouble.

The rule here: keys are made and ended as an operator would, through the store, beside the
gateways that run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.auth import stored_keys
from gateway.core.gateway_key import make_key
from gateway.simulator import Simulator
from gateway.stores.opening import OpenKeys, open_keys
from tests.plugins.gateway import Gateway, StartGateway
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.stored_keys import ENVIRON, PEPPER, make_tables, new_key, spec_of

QUESTION = {"model": "sim/sim:groq-2026", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def _pepper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways find it where they look."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


def settings_for(database_address: str) -> Mapping[str, Any]:
    """Settings that ask for the keys of a database."""
    return {
        "auth": [{"kind": "gateway_key"}],
        "stores": {"database": database_address, "peppers": {"1": "${GATEWAY_PEPPER}"}},
    }


async def open_gateway(
    start_gateway: StartGateway, simulator: Simulator, settings: Mapping[str, Any]
) -> Gateway:
    """A gateway with the simulator as its provider."""
    provider = {"base_url": simulator.base_url, "allow_private": True, "auth": {"required": False}}
    gateway = await start_gateway(providers={"sim": provider}, settings=settings)
    gateway.secrets.append(PEPPER)
    return gateway


async def ask(gateway: Gateway, key: str) -> tuple[int, str | None]:
    """The status of one question, and the code when it is an error's."""
    gateway.secrets.append(key)
    async with (
        ClientSession() as session,
        session.post(
            f"{gateway.url}/v1/chat/completions",
            json=QUESTION,
            headers={"Authorization": f"Bearer {key}"},
        ) as reply,
    ):
        body = await reply.json()
        return reply.status, body.get("error", {}).get("code")


@pytest.mark.usefixtures("_pepper", "keys_are_asked_for_anew")
async def test_an_ended_key_is_refused_by_every_gateway(
    start_gateway: StartGateway, simulator: Simulator, opened: OpenKeys, database_address: str
) -> None:
    """On the next look, which is at most five seconds away (E06)."""
    key, stored = new_key(opened.peppers, models=("sim/sim:groq-2026",))
    limited, other = new_key(opened.peppers, "bob", models=("sim/other",))
    for one in (stored, other):
        await opened.store.save_key(one)
    settings = settings_for(database_address)
    gateways = [await open_gateway(start_gateway, simulator, settings) for _ in range(2)]

    assert [await ask(gateway, key) for gateway in gateways] == [(200, None)] * 2
    assert await ask(gateways[1], limited) == (403, "model_not_allowed")
    assert await opened.store.disable_key("alice", 1)

    assert [await ask(gateway, key) for gateway in gateways] == [(401, "unauthenticated")] * 2
    assert [line["principal"] for line in gateways[0].log.settled] == ["alice", None]


@pytest.mark.usefixtures("_pepper")
async def test_a_frozen_server_stops_nobody_who_is_known(
    start_gateway: StartGateway,
    simulator: Simulator,
    postgresql: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others get 503 until it goes on, and nobody a 401 (E13, J07)."""
    address = postgresql.make_database()
    await make_tables(spec_of(address))
    operator = await open_keys(spec_of(address), ENVIRON, timeout_s=5)
    key, stored = new_key(operator.peppers)
    later, stored_later = new_key(operator.peppers, "bob")
    for one in (stored, stored_later):
        await operator.store.save_key(one)
    await operator.store.close()
    gateway = await open_gateway(start_gateway, simulator, settings_for(address))
    assert await ask(gateway, key) == (200, None)
    monkeypatch.setattr(stored_keys, "RENEW_S", 0.0)
    monkeypatch.setattr(stored_keys, "FRESH_S", 0.0)
    monkeypatch.setattr(stored_keys, "ANSWER_S", 0.2)

    postgresql.freeze()
    try:
        assert [await ask(gateway, key) for _ in range(3)] == [(200, None)] * 3
        assert await ask(gateway, later) == (503, "auth_unavailable")
    finally:
        postgresql.thaw()
    monkeypatch.setattr(stored_keys, "ANSWER_S", 10.0)
    monkeypatch.setattr(stored_keys, "REST_S", 0.0)

    while (answer := await ask(gateway, later)) != (200, None):
        assert answer == (503, "auth_unavailable")
    failed = [line for line in gateway.log.lines if line["event"] == "key_store.failed"]
    assert 1 <= len(failed) <= 2


async def test_the_first_key_is_made_while_the_gateway_runs(
    start_gateway: StartGateway, simulator: Simulator, tmp_path: Path
) -> None:
    """The embedded store makes itself, whoever comes first: the gateway or `gateway keys`."""
    database = tmp_path / "keys" / "gateway.db"
    database.parent.mkdir()
    settings = {
        "auth": [{"kind": "gateway_key"}],
        "stores": {"database": f"sqlite:///{database}"},
    }
    gateway = await open_gateway(start_gateway, simulator, settings)
    assert await ask(gateway, make_key()) == (401, "unauthenticated")

    # As `gateway keys create` does, while the gateway runs.
    operator = await open_keys(
        spec_of(f"sqlite:///{database}").model_copy(update={"peppers": None}), {}, timeout_s=5
    )
    key, stored = new_key(operator.peppers)
    await operator.store.save_key(stored)
    await operator.store.close()

    assert await ask(gateway, key) == (200, None)
    assert gateway.log.settled[-1]["principal"] == "alice"
