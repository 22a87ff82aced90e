"""What every fault test stands on.

The rule here: a scene is held against the invariants when its test ends, in the same loop that the
gateway runs on in earnest.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from gateway.simulator import Simulator
from gateway.stores.counters import CounterStore
from tests.plugins.gateway import CREDENTIAL, StartGateway
from tests.plugins.proxies.row import listening
from tests.plugins.proxies.running import Proxy
from tests.plugins.scene import (
    AUTH,
    GATEWAY_KEY,
    PROMPT,
    Scene,
    eventually,
    open_files,
    open_sockets,
)

OpenScene = Callable[..., Awaitable[Scene]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of `gateway serve`; the unit tests run on asyncio's own too."""
    return {"uvloop": uvloop.new_event_loop}


def _threads() -> set[str]:
    # Those of the loop's own executor end with the loop.
    of_the_loop = ("asyncio_", "uvloop_")
    return {one.name for one in threading.enumerate() if not one.name.startswith(of_the_loop)}


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """Compare what is open before and after a test, gateway and providers included."""
    sockets, files, threads = open_sockets(), open_files(), _threads()
    yield
    await eventually(lambda: open_sockets() <= sockets, "no socket is left")
    await eventually(lambda: open_files() <= files, "no file is left")
    await eventually(lambda: _threads() <= threads, "no thread is left")


@pytest.fixture
async def bystander() -> AsyncIterator[Simulator]:
    """A provider that nothing happens to."""
    async with Simulator() as provider:
        yield provider


@pytest.fixture
async def open_scene(
    start_gateway: StartGateway, simulator: Simulator, bystander: Simulator
) -> AsyncIterator[OpenScene]:
    """Opens scenes; fields are those of the failing provider's entry."""
    opened: list[Scene] = []

    async def make(
        *,
        settings: dict[str, Any] | None = None,
        counters: CounterStore | None = None,
        recovers: bool = True,
        behind: Proxy | None = None,
        environ: dict[str, str] | None = None,
        **fields: Any,
    ) -> Scene:
        usual = {
            "base_url": simulator.base_url,
            "allow_private": True,
            "retries": 0,
            # A test may fail the same way fifty times; group M looks at what comes of that.
            "breaker": {"enabled": False},
        }
        other = {"base_url": bystander.base_url, "allow_private": True}
        where = {} if behind is None else {"server": listening(behind)}
        gateway = await start_gateway(
            providers={"sim": {**usual, **fields}, "other": other},
            settings={"auth": AUTH, **where, **(settings or {})},
            environ={"SIM_API_KEY": CREDENTIAL, "OTHER_API_KEY": CREDENTIAL, **(environ or {})},
            counters=counters,
        )
        gateway.secrets += [GATEWAY_KEY, PROMPT]
        scene = Scene(
            gateway,
            simulator,
            bystander,
            open_sockets(),
            asyncio.all_tasks(),
            recovers=recovers,
            is_behind=behind is not None,
        )
        opened.append(scene)
        return scene

    yield make
    for scene in opened:
        await scene.end()


@pytest.fixture
async def scene(open_scene: OpenScene) -> Scene:
    """A scene with the usual settings, and a provider that is asked once."""
    return await open_scene()


@pytest.fixture
async def scene_behind_nginx(open_scene: OpenScene, nginx: Proxy) -> Scene:
    """The same, where nginx looks for it."""
    return await open_scene(behind=nginx)
