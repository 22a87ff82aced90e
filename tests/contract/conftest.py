"""Gateways that the contract tests ask.

The rule here: a gateway is started from entries as an operator would write them.
"""

from collections.abc import AsyncIterator

import pytest

from gateway.simulator import Simulator
from tests.contract.entries import SHIPPED, entry, env_of, shipped_entry
from tests.contract.stepwise import StepwiseProvider
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway


@pytest.fixture
async def single(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """A gateway whose provider `sim` is the simulator, asked once."""
    return await start_gateway(
        providers={"sim": entry(simulator.base_url)}, environ={"SIM_API_KEY": CREDENTIAL}
    )


@pytest.fixture
async def shipped(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """A gateway with every shipped entry, each with a credential and the simulator's address."""
    return await start_gateway(
        providers={name: shipped_entry(name, simulator.base_url) for name in SHIPPED},
        environ={env_of(name): CREDENTIAL for name in SHIPPED},
    )


@pytest.fixture
async def provider() -> AsyncIterator[StepwiseProvider]:
    """A provider that sends what the test says, when it says so."""
    async with StepwiseProvider() as stepwise:
        yield stepwise


@pytest.fixture
async def stepped(provider: StepwiseProvider, start_gateway: StartGateway) -> Gateway:
    """A gateway whose provider `sim` is `provider`, which outlives it."""
    return await start_gateway(
        providers={"sim": entry(provider.base_url)}, environ={"SIM_API_KEY": CREDENTIAL}
    )
