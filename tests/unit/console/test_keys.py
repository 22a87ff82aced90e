"""Stored keys over the admin listener: what the command line does.

The rule here: what the database decides is asked of both sorts of it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.config.settings import Settings
from gateway.console.admin import build_admin_app, finish_changes
from gateway.console.readiness import Readiness
from gateway.core.gateway_key import is_key, make_key
from gateway.core.retry_after import SPREAD_S
from gateway.stores.errors import StoreDownError
from gateway.stores.keys import StoredKey
from gateway.stores.opening import OpenKeys
from tests.plugins.admins import (
    ADMIN,
    ADMIN_KEY,
    AUTHORIZATION,
    JSON,
    AdminCaller,
    StartAdmin,
)
from tests.plugins.chain import LogLines
from tests.plugins.scene import eventually
from tests.plugins.stored_keys import new_key

ALICE = {
    "name": "alice",
    "tenant": "acme",
    "groups": ["b", "a", "a"],
    "providers": ["groq"],
    "models": ["groq/x", "groq/org/y:free"],
    "networks": ["10.0.0.0/8", "2001:db8::/32"],
    "expires": "30d",
}


async def test_a_key_is_made_and_shown_once(
    start_admin: StartAdmin, opened: OpenKeys, log_lines: LogLines
) -> None:
    """With what it is for; the log says which admin made it, and nothing of the key."""
    admin = await start_admin(opened=opened)

    made = await admin.post("/keys", ALICE)

    key = made.body.pop("key")
    assert (made.status, is_key(key)) == (201, True)
    assert made.headers["Location"] == "/keys/alice"
    assert made.headers["Cache-Control"] == "no-store"
    assert made.body["groups"] == ["a", "b"]
    assert made.body["models"] == ["groq/org/y:free", "groq/x"]
    assert (made.body["state"], made.body["tenant"]) == ("active", "acme")
    found = await opened.store.find_key(opened.peppers.digests(key))
    assert found is not None
    assert found.networks == ("10.0.0.0/8", "2001:db8::/32")
    shown = await admin.get("/keys/alice")
    listed = await admin.get("/keys")
    assert shown.body == made.body
    assert listed.body == {"keys": [made.body], "next": None}
    assert key not in str(shown.body) + str(listed.body) + log_lines.text
    (line,) = log_lines.find("key.created")
    assert (line["key"], line["admin"], line["client"]) == ("alice", "ops", "127.0.0.1")
    assert ADMIN_KEY not in log_lines.text


async def test_only_a_name_is_needed(start_admin: StartAdmin, sqlite_keys: OpenKeys) -> None:
    """As on the command line: without rights a key is for everything."""
    admin = await start_admin(opened=sqlite_keys)

    made = await admin.post("/keys", {"name": "bob", "expires": None})

    assert made.status == 201
    assert (made.body["providers"], made.body["expires_at"]) == ([], None)


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"name": ""}, "name", "letters, digits"),
        ({"name": "a b"}, "name", "letters, digits"),
        ({"name": "a\n"}, "name", "letters, digits"),
        ({"tenant": "a/b"}, "tenant", "letters, digits"),
        ({"groups": ["'; DROP TABLE"]}, "groups", "letters, digits"),
        ({"providers": ["Groq"]}, "providers", "lower-case"),
        ({"models": ["gpt-4o"]}, "models", "PROVIDER/MODEL"),
        ({"networks": ["10.0.0.1/8"]}, "networks", "10.1.0.0/16"),
        ({"expires": "30"}, "expires", "a number and a unit"),
        ({"expires": "999999w"}, "expires", "100 years"),
        ({"expires": "0s"}, "expires", "has passed already"),
    ],
    ids=str,
)
async def test_what_cannot_be_is_said_as_the_command_line_does(
    start_admin: StartAdmin, sqlite_keys: OpenKeys, changed: Any, field: str, says: str
) -> None:
    """The checks are the same; the field is named as it was sent."""
    admin = await start_admin(opened=sqlite_keys)

    answer = await admin.post("/keys", {**ALICE, **changed})

    assert answer.outcome == (400, "invalid_request")
    assert answer.body["message"].startswith(f"`{field}` ")
    assert says in answer.body["message"]
    assert await sqlite_keys.store.fetch_keys() == []


async def test_a_key_is_for_providers_that_there_are(
    start_admin: StartAdmin, sqlite_keys: OpenKeys
) -> None:
    """One that is for no other would be 403 for ever; its models may be any."""
    admin = await start_admin(opened=sqlite_keys, providers={"groq", "openrouter"})

    near = await admin.post("/keys", {**ALICE, "providers": ["groq", "gorq"]})
    far = await admin.post("/keys", {**ALICE, "models": ["groq/x", "nothere/x"]})

    assert near.outcome == far.outcome == (400, "invalid_request")
    assert near.body["message"] == (
        "`providers` names gorq, which is not in the registry (did you mean groq?)."
    )
    assert far.body["message"] == "`models` names nothere, which is not in the registry."
    assert (await admin.post("/keys", ALICE)).status == 201


async def test_a_name_is_given_once(start_admin: StartAdmin, opened: OpenKeys) -> None:
    """Also to many who ask at once."""
    admin = await start_admin(opened=opened)

    answers = await asyncio.gather(*(admin.post("/keys", {"name": "alice"}) for _ in range(5)))

    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    taken = next(answer for answer in answers if answer.status == 409)
    assert taken.code == "key_exists"
    assert "gateway keys rotate alice" in taken.body["message"]


async def test_a_rotated_key_goes_on_for_the_overlap(
    start_admin: StartAdmin, opened: OpenKeys, log_lines: LogLines
) -> None:
    """A day, unless something else is said."""
    admin = await start_admin(opened=opened)
    old = (await admin.post("/keys", {"name": "alice"})).body["key"]

    first = await admin.post("/keys/alice/rotate")
    second = await admin.post("/keys/alice/rotate", {"overlap": "1h"})

    new = second.body["key"]
    assert (first.status, second.status) == (200, 200)
    assert len({old, first.body["key"], new}) == 3
    assert second.headers["Cache-Control"] == "no-store"
    secrets = (await admin.get("/keys/alice")).body["secrets"]
    ends = {secret["prefix"]: secret["expires_at"] for secret in secrets}
    assert ends[old[:8]] == second.body["old_key_ends_at"] < first.body["old_key_ends_at"]
    assert ends[new[:8]] is None
    assert new not in log_lines.text
    assert [line["admin"] for line in log_lines.find("key.rotated")] == ["ops", "ops"]
    refused = await admin.post("/keys/alice/rotate", {"overlap": "soon"})
    assert refused.outcome == (400, "invalid_request")


async def test_an_expired_key_is_not_rotated(start_admin: StartAdmin, opened: OpenKeys) -> None:
    """The new key would not work either; an overlap is told no longer than the key lasts."""
    admin = await start_admin(opened=opened)
    await opened.store.save_key(new_key(opened.peppers, "over", expires_at=1)[1])
    made = await admin.post("/keys", {"name": "brief", "expires": "1h"})

    refused = await admin.post("/keys/over/rotate")
    rotated = await admin.post("/keys/brief/rotate", {"overlap": "2h"})

    assert refused.outcome == (409, "key_expired")
    assert rotated.body["old_key_ends_at"] == made.body["expires_at"]


async def test_a_disabled_key_stays_so(
    start_admin: StartAdmin, opened: OpenKeys, log_lines: LogLines
) -> None:
    """The second time is no mistake and no change; a rotation is one."""
    admin = await start_admin(opened=opened)
    await admin.post("/keys", {"name": "alice"})

    answers = [await admin.post("/keys/alice/disable") for _ in range(2)]

    assert [answer.body["was_disabled"] for answer in answers] == [False, True]
    assert (await admin.get("/keys/alice")).body["state"] == "disabled"
    rotated = await admin.post("/keys/alice/rotate")
    assert rotated.outcome == (409, "key_disabled")
    assert len(log_lines.find("key.disabled")) == 1


async def test_a_name_that_is_not_there_is_said(
    start_admin: StartAdmin, sqlite_keys: OpenKeys
) -> None:
    """What no key can be called is not even asked for (E02)."""
    admin = await start_admin(opened=sqlite_keys)
    names = ["nobody", "a%20b", "..%2f..%2fmetrics", "%27%20OR%201=1--", "%25", "%00", "x" * 200]

    answers = [
        answer
        for name in names
        for answer in (
            await admin.get(f"/keys/{name}"),
            await admin.post(f"/keys/{name}/rotate"),
            await admin.post(f"/keys/{name}/disable"),
        )
    ]

    assert {answer.outcome for answer in answers} == {(404, "key_not_found")}


async def test_a_key_says_whose_it_is(
    start_admin: StartAdmin, sqlite_keys: OpenKeys, log_lines: LogLines
) -> None:
    """Sent in a body, where no log of a proxy has it; and it is not repeated."""
    admin = await start_admin(opened=sqlite_keys)
    key, stored = new_key(sqlite_keys.peppers, "test", expires_at=1)
    await sqlite_keys.store.save_key(stored)
    unknown, typo = make_key(), key[:-1] + ("0" if key[-1] != "0" else "1")

    found = await admin.post("/keys/test", {"key": key})
    missed = [await admin.post("/keys/test", {"key": one}) for one in (unknown, typo, "", "' OR")]

    assert (found.status, found.body["name"], found.body["state"]) == (200, "test", "expired")
    assert {answer.outcome for answer in missed} == {(404, "key_not_found")}
    assert "checksum" in missed[1].body["message"]
    said = log_lines.text + str([found.body, *(answer.body for answer in missed)])
    assert not any(one in said for one in (key, unknown, typo))
    assert (await admin.get("/keys/test")).body["name"] == "test"
    assert (await admin.post("/keys/test/disable")).status == 200


async def test_the_list_comes_in_pages(start_admin: StartAdmin, opened: OpenKeys) -> None:
    """A million keys would be an answer of a gigabyte."""
    admin = await start_admin(opened=opened)
    for name in ("carol", "alice", "bob"):
        _, stored = new_key(opened.peppers, name)
        await opened.store.save_key(stored)

    names: list[str] = []
    following: str | None = ""
    while following is not None:
        page = (await admin.get(f"/keys?limit=2&after={following}")).body
        names.append([key["name"] for key in page["keys"]])
        following = page["next"]

    assert names == [["alice", "bob"], ["carol"]]
    for query in ("limit=0", "limit=1001", "limit=x", "limit=%D9%A1", "after=%25", "after=%00"):
        assert (await admin.get(f"/keys?{query}")).outcome == (400, "invalid_request")


async def test_a_gateway_that_asks_for_no_stored_keys_says_so(start_admin: StartAdmin) -> None:
    """A key that opens nothing would be looked into for an afternoon."""
    admin = await start_admin()

    for answer in (await admin.get("/keys"), await admin.post("/keys", {"name": "alice"})):
        assert answer.outcome == (409, "keys_not_stored")
        assert "auth: [{kind: gateway_key}]" in answer.body["message"]


class DownStore:
    """A store that does not answer, and says why as a driver would."""

    async def fetch_keys(self, **_: object) -> list[StoredKey]:
        """Fail."""
        raise StoreDownError("postgresql://db/gateway: connection refused")

    async def fetch_pepper_checks(self) -> dict[int, bytes]:
        """Fail."""
        raise StoreDownError("postgresql://db/gateway: connection refused")

    async def save_key(self, _: StoredKey) -> None:
        """Fail."""
        raise StoreDownError("postgresql://db/gateway: connection refused")


async def test_a_database_that_is_down_is_a_503(
    start_admin: StartAdmin, sqlite_keys: OpenKeys, log_lines: LogLines
) -> None:
    """The log says which and why; whoever asks hears when to come back."""
    admin = await start_admin(opened=OpenKeys(DownStore(), sqlite_keys.peppers, 0))  # type: ignore[arg-type]

    for answer in (await admin.get("/keys"), await admin.post("/keys", {"name": "alice"})):
        assert answer.outcome == (503, "store_unavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= SPREAD_S
        assert "postgresql" not in answer.body["message"]
    assert len(log_lines.find("admin.failed")) == 2
    assert log_lines.find("key.created") == []


class SlowStore:
    """A store that writes when it is let, and says that it was asked."""

    def __init__(self, opened: OpenKeys) -> None:
        self._store = opened.store
        self.was_asked = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.is_done = asyncio.Event()

    async def fetch_pepper_checks(self) -> dict[int, bytes]:
        """Ask the store behind."""
        return await self._store.fetch_pepper_checks()

    async def save_key(self, key: StoredKey) -> None:
        """Write later."""
        self.was_asked.set()
        await self.may_go_on.wait()
        await self._store.save_key(key)
        self.is_done.set()


async def test_a_change_is_finished_and_logged_when_its_caller_leaves(
    start_admin: StartAdmin, sqlite_keys: OpenKeys, log_lines: LogLines
) -> None:
    """A key that nobody knows of could not be ended."""
    store = SlowStore(sqlite_keys)
    admin = await start_admin(opened=OpenKeys(store, sqlite_keys.peppers, 0))  # type: ignore[arg-type]
    asking = asyncio.ensure_future(admin.post("/keys", {"name": "alice"}))
    await store.was_asked.wait()

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    store.may_go_on.set()
    await store.is_done.wait()
    await eventually(lambda: len(log_lines.find("key.created")) == 1, "it was logged")

    assert [key.name for key in await sqlite_keys.store.fetch_keys()] == ["alice"]


async def test_a_gateway_that_stops_finishes_what_has_begun(
    sqlite_keys: OpenKeys, log_lines: LogLines
) -> None:
    """And begins nothing else: the store is closed next."""
    store = SlowStore(sqlite_keys)
    app = build_admin_app(
        Readiness(),
        render_metrics=lambda: b"",
        settings=Settings.model_validate({"admin": ADMIN}),
        find_keys=lambda: OpenKeys(store, sqlite_keys.peppers, 0),  # type: ignore[arg-type]
    )
    async with TestClient(TestServer(app)) as client:
        admin = AdminCaller(client)
        asking = asyncio.ensure_future(admin.post("/keys", {"name": "alice"}))
        await store.was_asked.wait()

        async def slowly() -> AsyncIterator[bytes]:
            yield b'{"name":'
            has_begun.set()
            await stopping
            yield b'"carol"}'

        has_begun = asyncio.Event()
        headers = {**AUTHORIZATION, **JSON}
        slow = asyncio.ensure_future(admin.ask("POST", "/keys", headers=headers, data=slowly()))
        stopping = asyncio.ensure_future(finish_changes(app))
        await has_begun.wait()
        later = await admin.post("/keys", {"name": "bob"})
        store.may_go_on.set()

        assert (await asking).status == 201
        assert {(await slow).outcome, later.outcome} == {(503, "server_shutdown")}
    assert [line["key"] for line in log_lines.find("key.created")] == ["alice"]


async def test_a_key_in_an_address_is_in_no_log(
    start_admin: StartAdmin, sqlite_keys: OpenKeys, log_lines: LogLines
) -> None:
    """Somebody pastes one where its name should be."""
    admin = await start_admin(opened=sqlite_keys)
    key = make_key()

    answer = await admin.get(f"/keys/{key}")

    assert answer.status == 404
    assert key not in log_lines.text
    _ = await admin.ask("GET", f"/nothing/{key}", headers={**AUTHORIZATION, **JSON})
    assert key not in log_lines.text
