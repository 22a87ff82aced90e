"""What admins send is read strictly, and never quoted."""

import asyncio
from typing import Any

import pytest

from gateway.console.bodies import MAX_BODY_BYTES
from gateway.stores.opening import OpenKeys
from tests.plugins.admins import AUTHORIZATION, JSON, StartAdmin


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"[]", "invalid_json", "object"),
        (b"{", "invalid_json", ""),
        (b'{"name":"a","name":"b"}', "invalid_json", ""),
        (b'{"name":"canary","gruops":[]}', "invalid_request", "did you mean `groups`?"),
        (b'{"name":"canary","is_admin":true}', "invalid_request", "known: name, tenant"),
        (b'{"name":7}', "invalid_request", "`name` needs to be text."),
        (b'{"name":null}', "invalid_request", "`name` needs to be text."),
        (b'{"name":"a","models":"canary/x"}', "invalid_request", "a list of texts"),
        (b'{"name":"a","models":["a/b",7]}', "invalid_request", "a list of texts"),
        (b'{"name":"a","expires":30}', "invalid_request", "text or null"),
    ],
)
async def test_a_mistake_is_named_and_nothing_is_made(
    start_admin: StartAdmin, sqlite_keys: OpenKeys, body: bytes, code: str, says: str
) -> None:
    """A field that is passed over today is a right somebody takes tomorrow (CVE-2026-47102)."""
    admin = await start_admin(opened=sqlite_keys)

    answer = await admin.ask("POST", "/keys", headers={**AUTHORIZATION, **JSON}, data=body)

    assert answer.outcome == (400, code)
    assert says in answer.body["message"]
    assert "canary" not in answer.body["message"]
    assert await sqlite_keys.store.fetch_keys() == []


async def test_a_large_body_is_refused(start_admin: StartAdmin, sqlite_keys: OpenKeys) -> None:
    """There is no key that takes so much to describe."""
    admin = await start_admin(opened=sqlite_keys)

    answer = await admin.post("/keys", {"name": "a" * MAX_BODY_BYTES})

    assert answer.outcome == (413, "body_too_large")


async def test_a_body_that_does_not_come_is_not_waited_for(
    start_admin: StartAdmin, sqlite_keys: OpenKeys
) -> None:
    """The server itself would wait for ever."""
    admin = await start_admin({"server": {"request_body_timeout_s": 0.05}}, opened=sqlite_keys)

    async def half() -> Any:
        yield b'{"name":'
        await asyncio.Event().wait()

    answer = await admin.ask("POST", "/keys", headers={**AUTHORIZATION, **JSON}, data=half())

    assert answer.outcome == (408, "request_timeout")
