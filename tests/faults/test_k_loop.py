"""Group K, the event loop: whoever holds it up is named.

The rule here: the culprit is a middleware of an operator's, in a gateway that runs.
"""

import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.telemetry.loop_watch import BEAT_S, BLOCKED_S
from tests.faults.conftest import OpenScene
from tests.plugins.scene import Scene

SLEEP = "X-Sleep"


@web.middleware
async def sleep_in_the_loop(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do what nobody should do in an event loop."""
    if SLEEP in request.headers:
        time.sleep(BLOCKED_S + 2 * BEAT_S)  # noqa: ASYNC251 - it is the fault
    return await handler(request)


def find(scene: Scene, event: str) -> list[dict[str, Any]]:
    """The lines of one event."""
    return [line for line in scene.gateway.log.lines if line["event"] == event]


async def test_whoever_blocks_the_loop_is_named_while_they_do(open_scene: OpenScene) -> None:
    """K08: a hanging gateway says where it hangs, and how long it did."""
    use = f"{__name__}:sleep_in_the_loop"
    scene = await open_scene(settings={"middleware": [{"use": use, "after": "authenticate"}]})

    heard = await scene.ask("plain", headers=("Connection: close", f"{SLEEP}: 1"))

    assert heard.status == 200
    [blocked] = find(scene, "loop.blocked")
    assert any(line.endswith(" sleep_in_the_loop") for line in blocked["stack"])
    assert blocked["for_s"] > BLOCKED_S
    [lagged] = find(scene, "loop.lagged")
    assert lagged["lag_s"] > BLOCKED_S
    assert f"gateway_event_loop_lag_max_seconds {lagged['lag_s']:.1f}"[:-1] in scene.gateway.metrics
