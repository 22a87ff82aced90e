"""A scene with stored keys, made over the admin API as an operator's program would.

The rule here: every key that is made is a secret of the test from then on.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.app import KEYS
from gateway.stores.opening import OpenKeys
from tests.plugins.admins import ADMIN, ADMIN_KEY
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import AUTH, V1, Scene, body_of, raw_request

OpenScene = Callable[..., Awaitable[Scene]]
STORED = {"kind": "gateway_key"}


async def open_stored(
    open_scene: OpenScene, settings: dict[str, Any] | None = None, **fields: Any
) -> Scene:
    """A scene whose callers hold stored keys, beside the scene's own; `ops` is its admin."""
    usual = {"auth": [STORED, *AUTH], "admin": ADMIN}
    scene = await open_scene(settings={**usual, **(settings or {})}, **fields)
    scene.gateway.secrets.append(ADMIN_KEY)
    return scene


def opened_of(scene: Scene) -> OpenKeys:
    """The store that the gateway asks."""
    return scene.gateway.service.app[KEYS]


async def ask_admin(
    scene: Scene, method: str, path: str, body: object = None, *, key: str | None = ADMIN_KEY
) -> Heard:
    """One request to the admin listener."""
    written = b"" if body is None else json.dumps(body).encode()
    shown = () if key is None else (f"Authorization: Bearer {key}",)
    async with Caller(int(scene.gateway.admin_url.rpartition(":")[2])) as caller:
        await caller.send(
            raw_request(
                f"{method} {path} HTTP/1.1",
                *shown,
                "Content-Type: application/json",
                f"Content-Length: {len(written)}",
                "Connection: close",
                body=written,
                authorized=False,
            )
        )
        return await caller.read_to_end()


async def make_key(scene: Scene, name: str, **fields: Any) -> str:
    """A new key for somebody."""
    heard = await ask_admin(scene, "POST", "/keys", {"name": name, **fields})
    assert heard.status == 201, heard.raw
    key = str(heard.json["key"])
    scene.gateway.secrets.append(key)
    return key


async def ask_with(
    scene: Scene, *headers: str, path: str = V1, verb: str = "POST", **fields: Any
) -> Heard:
    """What callers get who send these headers and no other key."""
    body = json.dumps(body_of(path, **fields)).encode() if verb == "POST" else b""
    return await scene.send(
        raw_request(
            f"{verb} {path} HTTP/1.1",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *headers,
            body=body,
            authorized=False,
        )
    )


def bearer(key: str) -> str:
    """The header with a key."""
    return f"Authorization: Bearer {key}"
