"""Group E: a database of keys that does not answer, with a password that nobody may see.

The rule here: the server is frozen, not stopped: whoever asks it waits, and is not refused.
"""

from urllib.parse import urlsplit

import pytest

from gateway.auth import stored_keys
from tests.faults.conftest import OpenScene
from tests.plugins.admin_scene import ask_admin, ask_with, bearer, open_stored
from tests.plugins.admin_scene import make_key as make_stored_key
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.scene import PATHS, error_of, header_of
from tests.plugins.stored_keys import ENVIRON, PEPPER, make_tables, spec_of

PASSWORD = "canary-database-password-5e1d"


@pytest.fixture
async def database(postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The reference that gateway.yaml has; the server takes any password."""
    address = postgresql.make_database()
    await make_tables(spec_of(address))
    parts = urlsplit(address)
    user = parts.username or "postgres"
    host = parts.netloc.rpartition("@")[2]
    with_password = parts._replace(netloc=f"{user}:{PASSWORD}@{host}").geturl()
    for name, value in {**ENVIRON, "GATEWAY_DB": with_password}.items():
        monkeypatch.setenv(name, value)
    return "${GATEWAY_DB}"


async def test_a_database_that_does_not_answer_is_503_and_never_401(
    open_scene: OpenScene,
    postgresql: PostgresqlServer,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """E13: who is known goes on, of others nothing is said, and admins hear it at once."""
    stores = {"database": database, "peppers": {"1": "${GATEWAY_PEPPER}"}}
    scene = await open_stored(open_scene, {"stores": stores})
    scene.gateway.secrets += [PASSWORD, PEPPER]
    known = await make_stored_key(scene, "bob")
    other = await make_stored_key(scene, "carol")
    assert (await ask_with(scene, bearer(known))).status == 200
    monkeypatch.setattr(stored_keys, "ANSWER_S", 0.2)

    postgresql.freeze()
    try:
        for path in PATHS:
            heard = await ask_with(scene, bearer(other), path=path)
            assert error_of(heard) == (503, "auth_unavailable")
            assert 1 <= int(header_of(heard, "retry-after") or 0) <= 4
            assert (await ask_with(scene, bearer(known), path=path)).status == 200
        for method, page in (("GET", "/keys/bob"), ("POST", "/keys/bob/disable")):
            heard = scene.note(await ask_admin(scene, method, page))
            assert error_of(heard) == (503, "store_unavailable")
    finally:
        postgresql.thaw()

    assert "401" not in {str(line["status"]) for line in scene.gateway.log.settled}
    failed = [line for line in scene.gateway.log.lines if line["event"] == "key_store.failed"]
    assert len(failed) == 1
