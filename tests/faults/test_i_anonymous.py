"""Group I: those who show no key, through the whole gateway.

The rule here: alice, who shows a key, is served whatever they do.
"""

import json
from typing import Any

import pytest

from tests.faults.conftest import OpenScene
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import AUTH, PATHS, Scene, body_of, error_of, raw_request


async def open_to_all(open_scene: OpenScene, **limits: Any) -> Scene:
    """A scene that lets in everybody beside alice."""
    entry = {"kind": "anonymous", "requests_per_minute": 600, "concurrent": 50, **limits}
    return await open_scene(settings={"auth": [*AUTH, entry]})


async def ask_as_nobody(scene: Scene, path: str) -> Heard:
    """One request without a key."""
    body = json.dumps(body_of(path)).encode()
    length = f"Content-Length: {len(body)}"
    async with Caller(scene.gateway.port) as caller:
        request = raw_request(
            f"POST {path} HTTP/1.1", length, "Connection: close", body=body, authorized=False
        )
        await caller.send(request)
        return scene.note(await caller.read_to_end())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("limits", "rule", "code"),
    [
        ({"requests_per_minute": 2}, "anonymous", "request_rate_exceeded"),
        ({"tokens_per_day": 30}, "anonymous", "token_quota_exceeded"),
        ({"per_address": {"requests_per_minute": 2}}, "anonymous-address", "request_rate_exceeded"),
    ],
)
async def test_who_shows_no_key_is_limited_and_who_shows_one_is_not(
    open_scene: OpenScene, path: str, limits: dict[str, Any], rule: str, code: str
) -> None:
    """I12: everybody together, or each address; and alice is somebody."""
    scene = await open_to_all(open_scene, **limits)

    heard = [await ask_as_nobody(scene, path) for _ in range(4)]

    statuses = [one.status for one in heard]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert error_of(heard[-1]) == (429, code)
    assert (await scene.settled(4))["refused_by"] == rule
    for _ in range(4):
        assert (await scene.ask("plain", path)).status == 200


async def test_what_costs_money_is_bounded_too(open_scene: OpenScene) -> None:
    """I11: a model without a price is nobody's way around a budget."""
    scene = await open_to_all(open_scene, money_per_day=1)

    heard = await ask_as_nobody(scene, "/v1/chat/completions")

    assert error_of(heard) == (403, "model_unpriced")
