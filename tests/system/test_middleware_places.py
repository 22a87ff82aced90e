"""An operator's middleware at every place in the chain, and at those that are refused.

The rule here: the middleware is the one that ships; the answer and the log line are the gateway's.
"""

import aiohttp
import pytest

from gateway.config.middleware_places import CHAIN_NAMES, TOO_FAR_OUT
from gateway.config.problems import ConfigError
from gateway.simulator import Simulator
from tests.plugins.gateway import CREDENTIAL, Gateway, StartGateway

PLACES = [
    (side, name)
    for name in CHAIN_NAMES
    for side in ("before", "after")
    if (side, name) not in TOO_FAR_OUT
]
CALL = {"model": "sim/plain", "messages": [{"role": "user", "content": "Hi"}]}


async def start(start_gateway: StartGateway, simulator: Simulator, side: str, name: str) -> Gateway:
    """A gateway with the middleware that ships, there."""
    return await start_gateway(
        providers={"sim": {"base_url": simulator.base_url, "allow_private": True}},
        settings={"middleware": [{"use": "plugins.hello:stamp", side: name}]},
        environ={"SIM_API_KEY": CREDENTIAL},
    )


@pytest.mark.parametrize(("side", "name"), PLACES)
async def test_it_works_at_every_place(
    start_gateway: StartGateway, simulator: Simulator, side: str, name: str
) -> None:
    """The answer bears its header and the request's id, and the request has its line."""
    gateway = await start(start_gateway, simulator, side, name)
    asked = {"X-Request-ID": "mine"}

    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/v1/chat/completions", json=CALL, headers=asked) as heard,
    ):
        await heard.read()

    (line,) = await gateway.log.wait_for_settled()
    is_known = PLACES.index((side, name)) >= PLACES.index(("after", "authenticate"))
    assert heard.headers["X-Hello"] == ("local" if is_known else "nobody")
    assert (heard.status, heard.headers["X-Request-ID"]) == (200, "mine")
    assert (line["status"], line["request_id"], line["outcome"]) == (200, "mine", "finished")


@pytest.mark.parametrize(("side", "name"), sorted(TOO_FAR_OUT))
async def test_where_there_is_no_exchange_it_may_not_stand(
    start_gateway: StartGateway, simulator: Simulator, side: str, name: str
) -> None:
    """Neither id nor log line is there yet, so nothing of its own would work."""
    with pytest.raises(ConfigError, match="the first place is `after: assign_request_id`"):
        await start(start_gateway, simulator, side, name)
