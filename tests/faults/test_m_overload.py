"""Fault group M: storms, herds and providers that come back.

The rule here: everybody is there at the same time, counted where it arrives; nothing is timed.
"""

import asyncio
import json
from collections import Counter
from typing import Any

from tests.faults.conftest import OpenScene
from tests.plugins.raw_caller import Caller, Heard
from tests.plugins.scene import V1, Scene, body_of, error_of, raw_request

STORM = 150
FAILING: dict[str, Any] = {"error": {"status": 503, "retry_after": "0"}}


async def storm(scene: Scene, count: int, directive: object = None, **fields: Any) -> list[Heard]:
    """So many callers at once; what each of them heard."""
    body = json.dumps(body_of(V1, directive, stream=False, **fields)).encode()
    head = ("Connection: close", f"Content-Length: {len(body)}")
    asked = raw_request(f"POST {V1} HTTP/1.1", *head, body=body)

    async def ask() -> Heard:
        async with Caller(scene.gateway.port) as caller:
            await caller.send(asked)
            return scene.note(await caller.read_to_end())

    return list(await asyncio.gather(*(ask() for _ in range(count))))


async def test_a_storm_of_failures_is_not_multiplied(open_scene: OpenScene) -> None:
    """M03: each of them would be tried twice more, and the provider would get three storms."""
    scene = await open_scene(retries=2)

    heard = await storm(scene, STORM, FAILING)

    assert Counter(error_of(one) for one in heard) == {(503, "service_unavailable"): STORM}
    assert STORM < scene.upstream_requests <= 1.2 * STORM


async def test_without_the_budget_each_request_has_its_own_retries(open_scene: OpenScene) -> None:
    """It is off by a word, and then `retries` alone counts."""
    scene = await open_scene(retries=1, retry_budget={"enabled": False})

    await storm(scene, 30, FAILING)

    assert scene.upstream_requests == 60


async def test_one_caller_gets_the_retries_that_the_registry_says(open_scene: OpenScene) -> None:
    """A gateway with one request a minute is no storm."""
    scene = await open_scene(retries=2)
    scene.simulator.script({**FAILING, "times": 2, "then": [{"preset": "plain"}]})

    heard = await scene.ask(stream=False, simulate=None)

    assert (heard.status, scene.upstream_requests) == (200, 3)
