"""What a gateway answers to tokens and sessions that others issue.

The rule here: whatever was shown is in no answer, no log line and no metric, and nobody who was not
recognised has reached a provider.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.issuer import SECRET
from tests.plugins.raw_caller import Heard
from tests.plugins.scene import AUTH, PATHS, V1, Scene, body_of, error_of, header_of, raw_request

OpenScene = Callable[..., Awaitable[Scene]]


async def show(
    scene: Scene, token: str | None, *headers: str, path: str = V1, verb: str = "POST"
) -> Heard:
    """What the gateway answers to a request with this token."""
    shown = [] if token is None else [f"Authorization: Bearer {token}"]
    body = json.dumps(body_of(path)).encode() if verb == "POST" else b""
    heard = await scene.send(
        raw_request(
            f"{verb} {path} HTTP/1.1",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *shown,
            *headers,
            body=body,
            authorized=False,
        )
    )
    # The last parts of it; a header is the same for everybody.
    for secret in [*(token or "").split(".")[1:], SECRET]:
        if len(secret) > 16:
            assert secret.encode() not in heard.raw
            scene.gateway.secrets.append(secret)
    return heard


async def refusal(scene: Scene, token: str | None, *headers: str) -> str:
    """The sentence of a 401, on both paths; no provider has heard of it."""
    asked = scene.upstream_requests
    for path in PATHS:
        heard = await show(scene, token, *headers, path=path)
        assert error_of(heard) == (401, "unauthenticated"), heard.raw
        assert header_of(heard, "www-authenticate") == "Bearer"
    assert scene.upstream_requests == asked
    # `/api/chat` is asked by the front end, which shows `message`.
    return str(heard.json["message"])


async def open_with(
    open_scene: OpenScene, *auth: dict[str, Any], settings: dict[str, Any] | None = None
) -> Scene:
    """A scene whose callers have a key, or what these entries say."""
    return await open_scene(settings={"auth": [*AUTH, *auth], **(settings or {})})


@pytest.fixture
def issuer_secret(tmp_path: Path) -> str:
    """Where the secret of an issuer is, as it is written in an entry."""
    file = tmp_path / "issuer-secret"
    file.write_text(SECRET)
    return f"file:{file}"
