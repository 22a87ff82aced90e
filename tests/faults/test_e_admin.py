"""Group E: the admin listener, asked by everybody who is no admin.

The rule here: what there is to ask is read from the router, so that a page that is added later is
asked too.
"""

import asyncio
import json
import re

import pytest

from gateway.console.admin import build_admin_app
from gateway.console.guard import OPEN
from gateway.console.readiness import Readiness
from gateway.core.gateway_key import make_key
from tests.faults.conftest import OpenScene
from tests.plugins.admin_scene import ask_admin, ask_with, open_stored, opened_of
from tests.plugins.admin_scene import make_key as make_stored_key
from tests.plugins.admins import ADMIN_KEY
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import GATEWAY_KEY, Scene, error_of, raw_request
from tests.plugins.stored_keys import new_key

ROUTES = [
    (route.method, re.sub(r"\{\w+\}", "bob", route.resource.canonical))
    for route in build_admin_app(Readiness(), render_metrics=lambda: b"").router.routes()
    if route.resource is not None
]
# What an admin can do at all; whoever adds to it thinks of who may not (CVE-2026-42271: a page for
# trying something out ran a command; CVE-2026-35029: one for settings had no check).
KNOWN = {
    ("GET", "/healthz"),
    ("HEAD", "/healthz"),
    ("GET", "/readyz"),
    ("HEAD", "/readyz"),
    ("GET", "/metrics"),
    ("HEAD", "/metrics"),
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("POST", "/keys/test"),
    ("GET", "/keys/bob"),
    ("POST", "/keys/bob/rotate"),
    ("POST", "/keys/bob/disable"),
    ("GET", "/usage"),
    ("GET", "/credentials"),
    ("POST", "/credentials/bob/restore"),
}


def test_there_is_nothing_that_runs_or_fetches_what_a_body_says() -> None:
    """E14: no code, template, command, file, address or setting; the list is closed."""
    assert set(ROUTES) == KNOWN


async def test_no_caller_s_key_is_an_admin_s(open_scene: OpenScene) -> None:
    """E14: stored, written in the file, well formed, or none: every page, and nothing changes."""
    scene = await open_stored(open_scene)
    stored = await make_stored_key(scene, "bob", groups=["admin"], tenant="admin")
    before = await opened_of(scene).store.fetch_keys()

    for method, path in ROUTES:
        if path in OPEN:
            continue
        for key, told in (
            (stored, (403, "admin_key_needed")),
            (GATEWAY_KEY, (403, "admin_key_needed")),
            (make_key(), (403, "admin_key_needed")),
            (None, (401, "unauthenticated")),
        ):
            heard = scene.note(await ask_admin(scene, method, path, {"name": "eve"}, key=key))
            assert error_of(heard) == told, (method, path)

    assert await opened_of(scene).store.fetch_keys() == before


@pytest.mark.parametrize(("method", "path"), [one for one in ROUTES if one[0] != "HEAD"])
async def test_nothing_of_it_is_on_the_public_listener(
    open_scene: OpenScene, method: str, path: str
) -> None:
    """D02, L06: whoever asks, and however the path is written."""
    scene = await open_stored(open_scene)
    admin = f"Authorization: Bearer {ADMIN_KEY}"

    for key in (admin, f"Authorization: Bearer {GATEWAY_KEY}"):
        heard = await ask_with(scene, key, path=path, verb=method)
        assert heard.status == (401 if key == admin else 404)
    for walked in (f"/api/keys/..%2f..{path}", f"/v1/..{path}", f"/api/chat/%2e%2e{path}"):
        heard = await ask_with(
            scene, f"Authorization: Bearer {GATEWAY_KEY}", path=walked, verb=method
        )
        assert heard.status in {400, 404}
    assert scene.upstream_requests == 0


TURNS = range(24)  # of the event loop, from the first bytes to the answer and past it


async def change_and_leave(scene: Scene, path: str, body: object, *, turns: int) -> None:
    """Ask for a change, and hang up so many turns of the event loop later."""
    written = json.dumps(body).encode()
    async with Caller(int(scene.gateway.admin_url.rpartition(":")[2])) as caller:
        await caller.send(
            raw_request(
                f"POST {path} HTTP/1.1",
                f"Authorization: Bearer {ADMIN_KEY}",
                "Content-Type: application/json",
                f"Content-Length: {len(written)}",
                body=written,
                authorized=False,
            )
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.reset()


async def test_what_was_changed_and_what_was_logged_are_the_same(open_scene: OpenScene) -> None:
    """Whenever its caller leaves, a change is whole and has its line, or there is neither."""
    scene = await open_stored(open_scene)
    opened = opened_of(scene)
    before = [new_key(opened.peppers, f"rotated{turns}")[1] for turns in TURNS]
    for stored in before:
        await opened.store.save_key(stored)

    for turns in TURNS:
        await change_and_leave(scene, "/keys", {"name": f"made{turns}"}, turns=turns)
        await change_and_leave(scene, f"/keys/rotated{turns}/rotate", {}, turns=turns)
    await scene.wait_until_quiet()

    logged = {
        (line["event"], line["key"])
        for line in scene.gateway.log.lines
        if line["event"].startswith("key.")
    }
    after = await opened.store.fetch_keys()
    made = {("key.created", key.name) for key in after if key.name.startswith("made")}
    rotated = {("key.rotated", key.name) for key in after if len(key.secrets) > 1}
    assert logged == made | rotated
    assert made
    assert rotated
