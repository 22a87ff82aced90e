"""A service in this process, for tests of it and of the commands that talk to one."""

from collections.abc import AsyncIterator

import pytest

from gateway.config.load import Registry
from gateway.config.provider_blocks import AuthSpec, Model
from gateway.config.registry import Provider
from gateway.config.settings import AdminSpec, ServerSpec, Settings
from gateway.core.exchange import Exchange
from gateway.serving.service import Service

DEMO = Provider(
    name="demo",
    base_url="simulator:",
    auth=AuthSpec(required=False),
    models=(Model(id="demo"),),
    default_model="demo",
)
LOCAL = Settings(server=ServerSpec(port=0, drain_s=5), admin=AdminSpec(port=0))


def log_nothing(_: Exchange) -> None:
    """For gateways whose lines nobody reads."""


@pytest.fixture
def registry() -> Registry:
    """The built-in provider and one without a credential."""
    groq = Provider(name="groq", base_url="https://api.groq.com/openai/v1")
    return Registry({"demo": DEMO, "groq": groq}, {})


@pytest.fixture
async def service(registry: Registry) -> AsyncIterator[Service]:
    """Both listeners, on free ports."""
    running = Service(LOCAL, registry, log_nothing)
    await running.start()
    yield running
    await running.stop()
